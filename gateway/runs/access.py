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
    if record is None or record.project != caller.project:
        raise NotFoundError.of(f"runs/{run_uid}")
    require_visible(caller, record, scope)
    return record


def require_visible(caller: Caller, record: RunRecord, scope: str) -> None:
    """Requires that a run of the caller's project is visible to the caller, and `scope` for its task.

    Raises:
        NotFoundError: the caller may not see it.
        PermissionDeniedError: MISSING_SCOPE for this task.
    """
    if caller.owner_filter not in {None, record.owner}:
        raise NotFoundError.of(f"runs/{record.id}")
    caller.require(scope, record.task_name or WITHOUT_TASK)
