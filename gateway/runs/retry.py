"""RetryRun: a new run that takes up where an ended one failed."""

from gateway.api.resource_names import new_id
from gateway.runs.conversion import to_run
from ordinaut.errors import FailedPreconditionError, NotFoundError
from ordinaut.store import retry, run
from ordinaut.store.run import RunRecord
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run

RETRIED = frozenset({"FAILED", "CANCELLED"})


async def retry_run(connection: Connection, ended: RunRecord) -> Run:
    """Queues the retry of a run that its caller may write, in a transaction.

    Raises:
        FailedPreconditionError: RUN_STATE, OVERLAP, TASK_STATE.
    """
    name = f"runs/{ended.id}"
    if ended.state not in RETRIED:
        raise FailedPreconditionError(
            ErrorReason.RUN_STATE,
            f"{name} is {ended.state}; only FAILED and CANCELLED runs are retried",
            {"resource": name, "state": ended.state},
        )
    queued = await retry.enqueue(connection, retry_of=ended.id, root=ended.root, run=new_id())
    if not queued.task_exists:
        raise FailedPreconditionError(ErrorReason.TASK_STATE, f"the task of {name} is deleted", {"resource": name})
    if queued.run is None:
        live = f"runs/{queued.live_run}" if queued.live_run else ""
        raise FailedPreconditionError(
            ErrorReason.OVERLAP, f"a live run stands in the way of {name}", {"live_run": live}
        )
    record = await run.get(connection, queued.run, steps=False)
    if record is None:
        raise NotFoundError.of(f"runs/{queued.run}")
    return to_run(record)
