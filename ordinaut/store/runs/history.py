"""The partitions that hold ended runs and their steps."""

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


async def ensure_partitions(connection: Connection, weeks: int) -> None:
    """Creates the missing partitions of this week and the `weeks` after it."""
    await SQL.ensure_partitions.value(connection, weeks=weeks)
