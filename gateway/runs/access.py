"""Access to runs: they are visible to their owner and admins, and do not exist for other callers."""

from uuid import UUID

from gateway.authentication.caller import Caller
from ordinaut.errors import NotFoundError
from ordinaut.names import WITHOUT_TASK
from ordinaut.store.runs import run
from ordinaut.store.runs.run import RunRecord
from ordinaut.store.sql import Connection


async def visible_run(connection: Connection, caller: Caller, run_uid: UUID, scope: str, *, steps: bool) -> RunRecord:
    """Returns a run that the caller may see, and requires `scope` for its task.

    Raises:
        NotFoundError: the run does not exist, or the caller may not see it.
        PermissionDeniedError: MISSING_SCOPE for this task.
    """
    record = await run.get(connection, run_uid, steps=steps)
    is_visible = record is not None and caller.owner_filter in {None, record.owner}
    if record is None or record.project != caller.project or not is_visible:
        raise NotFoundError.of(f"runs/{run_uid}")
    caller.require(scope, record.task_name or WITHOUT_TASK)
    return record
