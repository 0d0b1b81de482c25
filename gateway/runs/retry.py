"""RetryRun: a new run that resumes after the last completed step of a failed or cancelled run."""

from gateway.api.resource_names import new_id
from gateway.runs.conversion import to_run
from ordinaut.errors import FailedPreconditionError, NotFoundError
from ordinaut.store.runs import retry, run
from ordinaut.store.runs.run import RunRecord
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run

RETRIED = frozenset({"FAILED", "CANCELLED"})


async def retry_run(connection: Connection, ended: RunRecord) -> Run:
    """Enqueues the retry of a run, in a transaction; the caller has checked access.

    Raises:
        FailedPreconditionError: RUN_STATE, OVERLAP, TASK_STATE.
    """
    name = f"runs/{ended.id}"
    if ended.state not in RETRIED:
        raise FailedPreconditionError(
            ErrorReason.RUN_STATE,
            f"{name} must be FAILED or CANCELLED (is {ended.state})",
            {"resource": name, "state": ended.state},
        )
    result = await retry.enqueue(connection, retry_of=ended.id, root=ended.root, run=new_id())
    if not result.task_exists:
        raise FailedPreconditionError(
            ErrorReason.TASK_STATE, f"{name} cannot be retried: its task has been deleted", {"resource": name}
        )
    if result.run is None:
        live = f"runs/{result.live_run}" if result.live_run else ""
        raise FailedPreconditionError(
            ErrorReason.OVERLAP, f"{name} cannot be retried while {live or 'another run'} is live", {"live_run": live}
        )
    record = await run.get(connection, result.run, steps=False)
    if record is None:
        raise NotFoundError.of(f"runs/{result.run}")
    return to_run(record)
