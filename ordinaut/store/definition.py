"""What a claimed run executes: its pinned version, with tools and rights as they are now."""

from uuid import UUID

from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)


async def load(connection: Connection, *, project: str, owner: str, task: UUID, version: int) -> Record:
    """The row (pipeline, retry, tools: JSON texts; tool_names, scopes: lists) of one version of a task."""
    row: Record = await SQL.load.row(connection, project=project, owner=owner, task=task, version=version)
    return row
