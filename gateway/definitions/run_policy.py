"""The run policy of a task: bounds and defaults."""

from datetime import timedelta
from typing import Literal

from gateway.api.violations import Problems
from ordinaut.limits import DEFAULT_OVERLAP_BUFFER, MAX_ERROR_CODE_LENGTH, MAX_RETRIES
from ordinaut.v1.task_pb2 import Overlap, Retry, RunPolicy

DEFAULT_PRIORITY = 5
DEFAULT_MAX_LOSSES = 3
DEFAULT_RUN_TIMEOUT = timedelta(days=1)
YEAR_SECONDS = 366 * 24 * 3600
LOSSES_MAX = 100
FACTOR_MAX = 100
CODES_MAX = 50
FAILURES_MAX = 1000
SHORTEST_NANOSECONDS = 10**9
BUFFER_MAX = 1000


def check_policy(problems: Problems, policy: RunPolicy, field: str) -> None:
    """Adds the violations of a run policy; 0 means unset."""
    problems.between(f"{field}.priority", policy.priority, 0, 9)
    problems.between(f"{field}.max_losses", policy.max_losses, 0, LOSSES_MAX)
    problems.between(f"{field}.pause_after_failures", policy.pause_after_failures, 0, FAILURES_MAX)
    for name in ("run_timeout", "start_deadline", "expect_success_every", "deadline"):
        if policy.HasField(name):
            problems.duration(f"{field}.{name}", getattr(policy, name), YEAR_SECONDS)
    for name in ("expect_success_every", "deadline"):
        span = getattr(policy, name)
        if 0 < span.ToNanoseconds() < SHORTEST_NANOSECONDS:
            problems.add(f"{field}.{name}", f"must be at least 1s (got {span.ToJsonString()})")
    if policy.HasField("retry"):
        check_retry(problems, policy.retry, f"{field}.retry")
    if policy.HasField("overlap"):
        _check_overlap(problems, policy.overlap, f"{field}.overlap")


def _check_overlap(problems: Problems, overlap: Overlap, field: str) -> None:
    problems.between(f"{field}.max_buffer", overlap.max_buffer, 0, BUFFER_MAX)
    if overlap.max_buffer and overlap.policy != Overlap.BUFFER_ALL:
        problems.add(f"{field}.max_buffer", "requires the policy BUFFER_ALL")
    if overlap.ignore_waiting and overlap.policy == Overlap.ALLOW:
        problems.add(f"{field}.ignore_waiting", "must be omitted for the policy ALLOW")


def check_retry(problems: Problems, retry: Retry, field: str) -> None:
    """Adds the violations of the retry rule of a task or a tool."""
    problems.between(f"{field}.max", retry.max, 0, MAX_RETRIES)
    if retry.factor:
        problems.between(f"{field}.factor", retry.factor, 1, FACTOR_MAX)
    if retry.HasField("jitter"):
        problems.between(f"{field}.jitter", retry.jitter, 0, 1)
    for name in ("delay", "max_delay"):
        if retry.HasField(name):
            problems.duration(f"{field}.{name}", getattr(retry, name), YEAR_SECONDS)
    problems.between(f"{field}.codes", len(retry.codes), 0, CODES_MAX)
    for index, code in enumerate(retry.codes):
        problems.text(f"{field}.codes[{index}]", code, MAX_ERROR_CODE_LENGTH)


def overlap_of(policy: RunPolicy) -> str | None:
    """Returns the name of the overlap policy; None if it is unset and depends on the kind of trigger."""
    chosen = policy.overlap.policy
    return None if chosen == Overlap.POLICY_UNSPECIFIED else Overlap.Policy.Name(chosen)


def max_buffer_of(policy: RunPolicy) -> int | None:
    """Returns the maximum number of buffered runs; None for policies without a buffer size."""
    return policy.overlap.max_buffer or DEFAULT_OVERLAP_BUFFER if policy.overlap.policy == Overlap.BUFFER_ALL else None


def span_of(policy: RunPolicy, name: Literal["start_deadline", "expect_success_every"]) -> timedelta | None:
    """Returns the duration in a field; None if it is unset."""
    span: timedelta | None = getattr(policy, name).ToTimedelta() if policy.HasField(name) else None
    return span


def deadline_ms_of(policy: RunPolicy) -> int:
    """Returns the deadline of a run in milliseconds; 0 if it is unset."""
    return policy.deadline.ToMilliseconds()


def run_timeout_of(policy: RunPolicy) -> timedelta:
    """Returns the timeout of a run."""
    return policy.run_timeout.ToTimedelta() if policy.HasField("run_timeout") else DEFAULT_RUN_TIMEOUT
