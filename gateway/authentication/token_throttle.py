"""Limits the rate of invalid tokens for each client address."""

import asyncio
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import NoReturn

from ordinaut.errors import OrdinautError, ResourceExhaustedError, UnauthenticatedError
from ordinaut.v1.error_pb2 import ErrorReason

BURST = 300.0
REFILL_PER_SECOND = 1.0
ADDRESSES_MAX = 10_000
DELAY_SECONDS = 1 / REFILL_PER_SECOND
DELAYED_MAX = 100
"""Calls of an address that may wait for their rejection at the same time; the others are rejected at once."""


@dataclass(slots=True)
class _Budget:
    remaining: float
    updated: float


class TokenThrottle:
    """A token bucket for each client address: 300 invalid tokens at once, then one for each second.

    Only rejections are throttled. A valid token is accepted even from an exhausted address, so a client that
    guesses tokens cannot lock out others that share its address (NAT, a proxy, a shared host). A throttled client
    learns nothing from its guesses either: it gets the same answer for every token that is not valid. The table is
    bounded and drops the address that was seen least recently; an attacker with that many addresses gains the burst of
    each. A client that sends its next call when the last one is answered is slowed down, because the rejections of an
    exhausted address are delayed.
    """

    def __init__(self) -> None:
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()
        self._delayed: Counter[str] = Counter()

    async def reject(self, address: str) -> NoReturn:
        """Counts an invalid token from `address` and rejects it, after a second if there were too many.

        Raises:
            UnauthenticatedError: the token is not valid.
            ResourceExhaustedError: LIMIT_REACHED: there were too many invalid ones.
        """
        rejection = self.rejection(address)
        if isinstance(rejection, ResourceExhaustedError) and self._delayed[address] < DELAYED_MAX:
            self._delayed[address] += 1
            try:
                await asyncio.sleep(DELAY_SECONDS)
            finally:
                self._delayed[address] -= 1
                if not self._delayed[address]:
                    del self._delayed[address]
        raise rejection

    def rejection(self, address: str) -> OrdinautError:
        """Counts an invalid token from `address` and returns the error to raise."""
        budget = self._budget(address)
        if budget.remaining >= 1:
            budget.remaining -= 1
            return UnauthenticatedError(
                ErrorReason.TOKEN_INVALID, "a valid token is required in `authorization: Bearer ord1_…`"
            )
        return ResourceExhaustedError(
            ErrorReason.LIMIT_REACHED,
            f"too many invalid tokens from this address: at most {BURST:.0f}, then {REFILL_PER_SECOND:.0f} per second",
            retry_after=1 / REFILL_PER_SECOND,
        )

    def is_exhausted(self, address: str) -> bool:
        """Whether the next invalid token from `address` is one too many."""
        return address in self._budgets and self._budget(address).remaining < 1

    def _budget(self, address: str) -> _Budget:
        now = time.monotonic()
        budget = self._budgets.pop(address, None) or _Budget(BURST, now)
        budget.remaining = min(BURST, budget.remaining + (now - budget.updated) * REFILL_PER_SECOND)
        budget.updated = now
        self._budgets[address] = budget
        if len(self._budgets) > ADDRESSES_MAX:
            self._budgets.popitem(last=False)
        return budget
