"""The clock that decides what is due: the database's."""

from datetime import datetime

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


async def database_now(connection: Connection) -> datetime:
    """The time of the database's clock."""
    now: datetime = await SQL.now.value(connection)
    return now
