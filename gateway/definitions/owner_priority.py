"""The most urgent priority that the owner of a task or a run may use."""

from gateway.authentication.caller import priority_not_allowed
from ordinaut.store import identity
from ordinaut.store.sql import Connection

CHECKED = range(1, 9)
"""Every agent may use 9; other values are invalid."""


async def require_priority(connection: Connection, project: str, owner: str, priority: int) -> None:
    """Requires that `owner` (`agents/…`) may have runs of a priority.

    Raises:
        PermissionDeniedError: PRIORITY_NOT_ALLOWED.
    """
    if priority not in CHECKED:
        return
    limit = await identity.min_priority(connection, project, owner)
    if priority < limit:
        raise priority_not_allowed(owner, priority, limit)
