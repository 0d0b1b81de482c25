"""Hourly maintenance: partitions of the history, expired responses and audit records, tasks not completed in time."""

from datetime import timedelta

from ordinaut.store import audit_seal, request_log
from ordinaut.store.database import Database
from ordinaut.store.runs import history
from ordinaut.store.tasks import cursor
from scheduler.maintenance.task_lifecycle import complete

WEEKS_AHEAD = 3
REQUESTS_BATCH = 10_000
ENDED_BATCH = 10_000
AUDIT_BATCH = 5_000


class Retention:
    """Runs the hourly maintenance."""

    def __init__(self, database: Database, audit_age: timedelta) -> None:
        self._database = database
        self._audit_age = audit_age

    async def run_once(self) -> bool:
        """Does everything once; True when more responses or audit records may have expired."""
        async with self._database.transaction() as connection:
            await history.ensure_partitions(connection, WEEKS_AHEAD)
        async with (
            self._database.transaction() as connection
        ):  # a scheduler may crash after it has planned the end of a schedule and before it completes the task
            await complete(connection, await cursor.tasks_with_ended_schedule(connection, ENDED_BATCH))
        async with self._database.transaction() as connection:
            deleted = await request_log.delete_old(connection, REQUESTS_BATCH)
        dropped = await self._drop_audit_records()
        return deleted >= REQUESTS_BATCH or dropped >= AUDIT_BATCH

    async def _drop_audit_records(self) -> int:
        """Returns the largest number of records that were dropped of a project."""
        async with self._database.connection() as connection:
            projects = await audit_seal.every_project(connection)
        dropped = [0]
        for project in projects:
            async with self._database.transaction() as connection:
                dropped.append(await audit_seal.drop(connection, project, self._audit_age, AUDIT_BATCH))
        return max(dropped)
