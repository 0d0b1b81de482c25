"""How rows become claimable again, and the ends of runs that no worker holds; the duties of the scheduler."""

from collections.abc import Sequence
from uuid import UUID

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
ENDING_BATCH = 200


async def rescue(connection: Connection, batch: int) -> int:
    """Takes back up to `batch` rows of lost workers, each counted as a loss; returns the number."""
    return len(await SQL.rescue.rows(connection, batch=batch))


async def end_unclaimed(connection: Connection) -> int:
    """Ends quarantined runs that were lost too often or are to be cancelled; returns the number."""
    return len(await SQL.end_unclaimed.rows(connection, batch=ENDING_BATCH))


async def end_unstarted(connection: Connection) -> int:
    """Ends runs that have not started by their deadline; returns the number."""
    return len(await SQL.end_unstarted.rows(connection, batch=ENDING_BATCH))


async def promote(connection: Connection, batch: int) -> int:
    """Makes up to `batch` delayed rows claimable that are due; returns the number."""
    return await SQL.promote.run(connection, batch=batch)


async def seconds_to_promotion(connection: Connection) -> float | None:
    """Seconds until the next delayed row is due, by the database's clock; None without delayed rows."""
    seconds: float | None = await SQL.seconds_to_promotion.value(connection)
    return seconds


async def lock(connection: Connection, ids: Sequence[UUID]) -> None:
    """Locks the rows that exist, in id order."""
    await SQL.lock.rows(connection, ids=list(ids))


async def wake(connection: Connection, ids: Sequence[UUID]) -> None:
    """Makes locked WAITING rows claimable; the time that they waited does not count as run time."""
    await SQL.wake.run(connection, ids=list(ids))
