"""Counts refused tokens by where they come from, so that guessing ends early and costs the guesser time.

A good token always passes: only the refusals of a source become shorter-tempered, so that nobody can lock others out
who call from the same address.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass

from ordinaut.errors import OrdinautError, ResourceExhaustedError, UnauthenticatedError
from ordinaut.v1.error_pb2 import ErrorReason

BURST = 300.0
REFILL_PER_SECOND = 1.0
SOURCES_MAX = 10_000


@dataclass(slots=True)
class _Budget:
    left: float
    seen: float


class BadTokens:
    """How many refusals each source has left: 300, and one more each second."""

    def __init__(self) -> None:
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()

    def refusal(self, source: str) -> OrdinautError:
        """What to answer to one more bad token from `source`."""
        budget = self._budget(source)
        if budget.left >= 1:
            budget.left -= 1
            return UnauthenticatedError(
                ErrorReason.TOKEN_INVALID, "a valid token is needed: metadata `authorization: Bearer ord_…`"
            )
        return ResourceExhaustedError(
            ErrorReason.LIMIT_REACHED,
            "too many bad tokens come from this address",
            retry_after=1 / REFILL_PER_SECOND,
        )

    def _budget(self, source: str) -> _Budget:
        now = time.monotonic()
        budget = self._budgets.pop(source, None) or _Budget(BURST, now)
        budget.left = min(BURST, budget.left + (now - budget.seen) * REFILL_PER_SECOND)
        budget.seen = now
        self._budgets[source] = budget
        if len(self._budgets) > SOURCES_MAX:
            self._budgets.popitem(last=False)
        return budget
