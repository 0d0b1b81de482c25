"""The partitions that hold ended runs and their steps."""

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


async def ensure_partitions(connection: Connection, weeks: int) -> None:
    """Makes the partitions of this week and the `weeks` after it, where they are missing."""
    await SQL.ensure_partitions.value(connection, weeks=weeks)
