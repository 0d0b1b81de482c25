"""Decides whether and when a failed attempt is retried."""

import hashlib
import math
from collections.abc import Callable

from pipeline_engine.data.failure import (
    DENIED,
    EXPRESSION,
    OUTCOME_UNKNOWN,
    PAYLOAD_TOO_LARGE,
    REJECTED,
    VALIDATION_INPUT,
    VALIDATION_OUTPUT,
    Failure,
)
from pipeline_engine.language.document import RetryRule

MAX_DELAY_IN_ENGINE_SECONDS = 5.0
FINAL = frozenset({REJECTED, OUTCOME_UNKNOWN})
"""Codes of a decision: another attempt would ask again, or call although the outcome of the call is unknown."""
LISTED = frozenset({VALIDATION_INPUT, VALIDATION_OUTPUT, EXPRESSION, DENIED, PAYLOAD_TOO_LARGE})
"""Codes that are retried only by a rule that lists them, because the same call usually fails in the same way."""


def is_repeated(failure: Failure, rule: RetryRule, attempt: int) -> bool:
    """Whether another attempt follows the failed `attempt`, which is numbered from 1.

    >>> rule = RetryRule(max=2)
    >>> [is_repeated(Failure("TIMEOUT", "", retryable=True), rule, attempt) for attempt in (1, 2, 3)]
    [True, True, False]
    >>> is_repeated(Failure(VALIDATION_OUTPUT, "", retryable=True), rule, 1)
    False
    >>> is_repeated(Failure(VALIDATION_OUTPUT, ""), RetryRule(max=2, codes=("VALIDATION_OUTPUT",)), 1)
    True
    """
    if attempt > rule.max or failure.code in FINAL or failure.retry_after == math.inf:
        return False
    if not rule.codes:
        return failure.retryable and failure.code not in LISTED
    # A call of an UNSAFE tool that returned an unusable output has happened, so it is not repeated.
    has_happened = failure.code in LISTED and failure.details.get("happened") is True
    return failure.code in rule.codes and not has_happened


def fraction_of(key: str) -> float:
    """Returns a number in [0, 1) derived from the key.

    It is the same in every process, so that an engine which takes over a run after a crash computes the same delay.
    """
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=6).digest()) / 2**48


def delay_seconds(rule: RetryRule, attempt: int, key: str, fraction: Callable[[str], float] = fraction_of) -> float:
    """Seconds to wait after the failed `attempt` of the call with that key.

    The exponential delay is multiplied by `1 - jitter * r`; `fraction` gives r in [0, 1) for the key and the attempt.

    >>> rule = RetryRule(max=5, delay=10.0, factor=2.0, max_delay=15.0, jitter=0.5)
    >>> [delay_seconds(rule, attempt, "key", lambda _: 0.5) for attempt in (1, 2, 3)]
    [7.5, 11.25, 11.25]
    """
    exponent = min(attempt - 1, 64)
    longest = min(rule.delay * rule.factor**exponent, rule.max_delay)
    return longest * (1 - rule.jitter * fraction(f"{key}#{attempt}"))
