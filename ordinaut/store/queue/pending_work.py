"""Which loops of the scheduler have work, found by one query over all the tables that can tell."""

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


async def loops_with_work(connection: Connection) -> set[str]:
    """The names of the loops that have work; it may turn out to be locked by another scheduler."""
    return {row["loop"] for row in await SQL.loops_with_work.rows(connection)}
