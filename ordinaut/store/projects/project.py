"""Projects as operators see them: without the reserved one, whose tools belong to all projects."""

from dataclasses import dataclass
from datetime import datetime

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class ProjectRecord:
    """A project; `delete_time` is the time of the request to delete it."""

    name: str
    state: str
    create_time: datetime
    delete_time: datetime | None


async def get(connection: Connection, name: str) -> ProjectRecord | None:
    """Returns a project or None."""
    row = await SQL.get.row(connection, name=name)
    return ProjectRecord(**row) if row else None


async def list_page(connection: Connection, *, after: str, size: int) -> list[ProjectRecord]:
    """Returns at most `size` projects with names after `after`."""
    return [ProjectRecord(**row) for row in await SQL.list.rows(connection, after=after, size=size)]


async def begin_removal(connection: Connection, name: str) -> ProjectRecord | None:
    """Marks a project as DELETING and ends its tokens, in a transaction; None if it does not exist."""
    row = await SQL.begin_removal.row(connection, name=name)
    if row is None:
        return None
    await SQL.delete_tokens.run(connection, project=name)
    return ProjectRecord(**row)
