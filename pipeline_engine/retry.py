"""When a failed attempt is repeated."""

from collections.abc import Callable

from pipeline_engine.failure import DENIED, EXPRESSION, PAYLOAD_TOO_LARGE, VALIDATION_INPUT, VALIDATION_OUTPUT, Failure
from pipeline_engine.language.document import RetryRule

MAX_DELAY_IN_ENGINE_SECONDS = 5.0
NEVER = frozenset({VALIDATION_INPUT, VALIDATION_OUTPUT, EXPRESSION, DENIED, PAYLOAD_TOO_LARGE})


def is_repeated(failure: Failure, rule: RetryRule, attempt: int) -> bool:
    """Whether another attempt follows the failed `attempt` (1 is the first)."""
    if attempt > rule.max or failure.code in NEVER:
        return False
    return failure.code in rule.codes if rule.codes else failure.retryable


def delay_seconds(rule: RetryRule, attempt: int, random: Callable[[], float]) -> float:
    """How long to wait after the failed `attempt`; `random` gives [0, 1) for the full jitter."""
    exponent = min(attempt - 1, 64)
    longest = min(rule.delay * rule.factor**exponent, rule.max_delay)
    return longest * random() if rule.jitter else longest
