"""Hourly maintenance: partitions of the history, expired request answers, tasks that were not completed in time."""

from ordinaut.store import request_log
from ordinaut.store.database import Database
from ordinaut.store.runs import history
from ordinaut.store.tasks import cursor
from scheduler.maintenance.task_lifecycle import complete

WEEKS_AHEAD = 3
REQUESTS_BATCH = 10_000
ENDED_BATCH = 10_000


class Retention:
    """Runs the hourly maintenance."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run_once(self) -> bool:
        """Does everything once; True when more answers may have expired."""
        async with self._database.transaction() as connection:
            await history.ensure_partitions(connection, WEEKS_AHEAD)
        async with (
            self._database.transaction() as connection
        ):  # a scheduler may crash after it has planned the end of a schedule and before it completes the task
            await complete(connection, await cursor.tasks_with_ended_schedule(connection, ENDED_BATCH))
        async with self._database.transaction() as connection:
            deleted = await request_log.delete_old(connection, REQUESTS_BATCH)
        return deleted >= REQUESTS_BATCH
