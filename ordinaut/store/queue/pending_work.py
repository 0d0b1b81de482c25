"""Which loops of the scheduler have work, found by one query over all the tables that can tell."""

from dataclasses import dataclass

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class Pending:
    """The number of workers with a live lease, and the names of the loops that have work."""

    workers: int
    loops: list[str]


async def pending(connection: Connection) -> Pending:
    """Returns what is pending; the work of a loop may turn out to be locked by another scheduler."""
    return Pending(**await SQL.pending.row(connection))
