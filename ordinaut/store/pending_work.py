"""What there is to do for a scheduler, seen in one look at all the tables that tell."""

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


async def look(connection: Connection) -> set[str]:
    """The names of the duties that have something to do, some of them perhaps in vain: others may hold it locked."""
    return {row["duty"] for row in await SQL.look.rows(connection)}
