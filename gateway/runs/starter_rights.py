"""What the token that starts a run of a task needs, if the task has `rights: LIMITED_BY_STARTER`."""

from uuid import UUID

from gateway.api.json_values import parse
from gateway.authentication.caller import Caller, missing_scopes
from gateway.definitions.references import missing_rights
from ordinaut.store.runs import run_limit
from ordinaut.store.sql import Connection


async def require_starter_rights(connection: Connection, caller: Caller, task: UUID, version: int) -> None:
    """Requires that the caller has the scopes of each step, if it limits the runs of this version.

    Scopes for names that are known only in the run are checked there.

    Raises:
        PermissionDeniedError: MISSING_SCOPE, with a violation at each such step.
    """
    pipeline = await run_limit.limited_pipeline(connection, task, version)
    if pipeline is None:
        return
    missing = list(missing_rights(caller.scopes, parse(pipeline), "task.pipeline", holder="token"))
    if missing:
        raise missing_scopes([scope for scope, _ in missing], caller.name, [violation for _, violation in missing])
