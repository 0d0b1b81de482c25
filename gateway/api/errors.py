"""Errors that several methods raise, each with one message form."""

from ordinaut.errors import (
    AbortedError,
    AlreadyExistsError,
    FailedPreconditionError,
    ResourceExhaustedError,
    UnavailableError,
)
from ordinaut.v1.error_pb2 import ErrorReason

SHUTDOWN_RETRY_SECONDS = 0.2
LIVE_RUNS_RETRY_SECONDS = 5.0


def already_exists(name: str) -> AlreadyExistsError:
    """The resource name is taken."""
    return AlreadyExistsError(ErrorReason.RESOURCE_EXISTS, f"{name} already exists", {"resource": name})


def etag_mismatch(name: str, current: str) -> AbortedError:
    """The caller wants to change an outdated revision of the resource."""
    return AbortedError(
        ErrorReason.ETAG_MISMATCH,
        f"{name} has changed since it was read; read it again and retry the change",
        {"resource": name, "etag": current} if current else {"resource": name},
    )


def changed_concurrently(name: str) -> AbortedError:
    """Another call changed the resource between the checks and the transaction; the same request may succeed."""
    return etag_mismatch(name, "")


def wrong_state(name: str, state: str, expected: str) -> FailedPreconditionError:
    """A task is in a state in which the call is not possible; `expected` lists the states in which it is."""
    return FailedPreconditionError(ErrorReason.TASK_STATE, f"{name} must be {expected} (is {state})", {"state": state})


def too_many_live_runs(name: str, runs: str, live: int, limit: int) -> ResourceExhaustedError:
    """A task, or an agent without a task, has as many live runs as it may have; `runs` says which are counted."""
    return ResourceExhaustedError(
        ErrorReason.LIMIT_REACHED,
        f"{name} must have fewer than {limit} {runs} (has {live}); retry when some of them have ended",
        {"resource": name, "limit": limit},
        retry_after=LIVE_RUNS_RETRY_SECONDS,
    )


def shutting_down() -> UnavailableError:
    """Ends a stream when the process stops."""
    return UnavailableError(
        ErrorReason.CALL_CANCELLED, "the gateway is shutting down; retry", retry_after=SHUTDOWN_RETRY_SECONDS
    )
