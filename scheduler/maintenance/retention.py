"""Housekeeping: history's next partitions, answers that are kept no longer, tasks whose end nobody saw."""

from ordinaut.store import cursor, history, request_log
from ordinaut.store.database import Database
from scheduler.maintenance.task_lifecycle import complete

WEEKS_AHEAD = 3
FORGET_BATCH = 10_000
ENDED_BATCH = 10_000


class Retention:
    """Does what is due once an hour."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run_once(self) -> bool:
        """Everything once; True when more answers may be too old."""
        async with self._database.transaction() as connection:
            await history.ensure_partitions(connection, WEEKS_AHEAD)
        async with self._database.transaction() as connection:  # a scheduler may die between an end and its record
            await complete(connection, await cursor.ended(connection, ENDED_BATCH))
        async with self._database.transaction() as connection:
            forgotten = await request_log.forget(connection, FORGET_BATCH)
        return forgotten >= FORGET_BATCH
