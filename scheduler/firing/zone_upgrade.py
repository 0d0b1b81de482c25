"""Zone upgrade: instants that older zone data computed are computed again with newer data.

Each cursor stores the version of the zone data that it was planned with, and only cursors with an older version than
this process has are planned again. So during a rolling upgrade the newest data win, and two schedulers with different
data cannot overwrite each other's plans for ever; the older one plans only cursors that have fired.

Nothing fires twice: the generation of a cursor stays the same, and with it the occurrence keys, which contain local
times. An occurrence that fired before the upgrade has a ledger row with its key; if the new data put the same local
time into the future again, that key is found in the ledger and the instant after it is planned instead.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ordinaut.store.database import Database
from ordinaut.store.hints import Hints
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor
from ordinaut.store.tasks.cursor import PendingCursor
from ordinaut.telemetry import get_logger
from scheduler.firing.bisect import bisect_batch
from scheduler.firing.plan import Planned, compute, conclude, write
from scheduler.maintenance.task_lifecycle import set_aside
from scheduler.metrics import MOVED
from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION

log = get_logger()
BATCH = 200
MAX_RECORDED_IN_A_ROW = 10  # occurrences of one task that fired already and that new data put into the future again


class ZoneUpgrade:
    """Plans the cursors again which were planned with older zone data than this process has."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._noted = False

    async def run_once(self) -> bool:
        """Plans one batch again; True when it was not empty."""
        if not self._noted:
            await self._note()
        return await bisect_batch(BATCH, self._plan_again, self._set_aside)

    async def _note(self) -> None:
        """Stores this version if it is the newest, and logs a difference from the version used before."""
        before = await self._database.repeat(
            lambda connection: cursor.note_zone_data(connection, ZONE_DATA_VERSION), one_statement=True
        )
        if before > ZONE_DATA_VERSION:
            log.warning("zone_data_older", newest=before, here=ZONE_DATA_VERSION)
        elif before < ZONE_DATA_VERSION:
            log.info("zone_data_newer", before=before, here=ZONE_DATA_VERSION)
        self._noted = True

    async def _plan_again(self, batch: int) -> bool:
        async with self._database.transaction() as connection:
            outdated = await cursor.outdated(connection, ZONE_DATA_VERSION, batch)
            if not outdated:
                return False
            planned = await _compute(connection, outdated)
            await write(connection, planned)
        _log_moved(outdated, planned)
        await conclude(self._database, self._hints, planned)
        return True

    async def _set_aside(self, failure: BaseException) -> bool:
        async with self._database.transaction() as connection:
            for outdated in await cursor.outdated(connection, ZONE_DATA_VERSION, 1):
                await set_aside(
                    connection,
                    outdated.task,
                    "could not be planned with new zone data",
                    failure,
                )
        return True


async def _compute(connection: Connection, outdated: Sequence[PendingCursor]) -> Planned:
    """The next instants of the cursors, skipping those with keys in the ledger."""
    pending = {row.task: row for row in outdated}
    for _ in range(MAX_RECORDED_IN_A_ROW):
        planned = await asyncio.to_thread(compute, list(pending.values()))
        columns = planned.columns
        recorded = await cursor.tasks_with_recorded(connection, columns.tasks, columns.keys)
        if not recorded:
            break
        for task, instant in zip(columns.tasks, columns.instants, strict=True):
            if task in recorded and instant is not None:
                pending[task] = replace(pending[task], skipped=[*pending[task].skipped, instant])
    return planned


def _log_moved(outdated: Sequence[PendingCursor], planned: Planned) -> None:
    before = {row.task: row.next_instant for row in outdated}
    for task, instant in zip(planned.columns.tasks, planned.columns.instants, strict=True):
        if instant != before[task]:
            MOVED.inc()
            log.info("occurrences_moved_by_zone_data", task=str(task), old=str(before[task]), new=str(instant))
