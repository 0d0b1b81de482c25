"""Who sees a run: its task's owner and admins; for everybody else it does not exist."""

from uuid import UUID

from gateway.authentication.caller import Caller
from ordinaut.errors import NotFoundError
from ordinaut.store import run
from ordinaut.store.run import RunRecord
from ordinaut.store.sql import Connection


async def visible_run(connection: Connection, caller: Caller, wanted: UUID, scope: str, *, steps: bool) -> RunRecord:
    """The run, when the caller may do `scope` with it; reading alone tells nothing about others' runs.

    Raises:
        NotFoundError: there is none that the caller may see.
        PermissionDeniedError: MISSING_SCOPE for this task.
    """
    record = await run.get(connection, wanted, steps=steps)
    private = record is not None and caller.owner_filter in {None, record.owner}
    if record is None or record.project != caller.project or not private:
        raise NotFoundError.of(f"runs/{wanted}")
    caller.require(scope, record.task_name)
    return record
