"""Zone renewal: what older zone data have planned is planned anew.

The newest data win, whoever started last: a scheduler with older ones plans what has fired, as always, but nothing a
second time, so that two of them do not take turns. The generation of a cursor stays, and with it the names of its
occurrences: what has fired under the old data has its row in the ledger and does not fire again.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from ordinaut.store import cursor
from ordinaut.store.database import Database
from ordinaut.store.hints import Hints
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from scheduler.firing.bisect import halving
from scheduler.firing.plan import Planned, compute, conclude, write
from scheduler.maintenance.task_lifecycle import set_aside
from scheduler.metrics import MOVED
from scheduler.triggers.localtime.zone import ZONE_DATA_VERSION

log = get_logger()
BATCH = 200
MOST_DECIDED = 10  # occurrences of one task in a row that new data would put into the future once more


class ZoneRenewal:
    """Looks for cursors that were planned with older zone data than this process has."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._noted = False

    async def turn(self) -> bool:
        """Renews one batch; True when there was any."""
        if not self._noted:
            await self._note()
        return await halving(BATCH, self._renew, self._set_aside)

    async def _note(self) -> None:
        """Keeps this version if it is the newest, and says how it differs from what was used last."""
        before = await self._database.repeat(
            lambda connection: cursor.note_zone_data(connection, ZONE_DATA_VERSION), one_statement=True
        )
        if before > ZONE_DATA_VERSION:
            log.warning("zone_data_older", newest=before, here=ZONE_DATA_VERSION)
        elif before < ZONE_DATA_VERSION:
            log.info("zone_data_newer", before=before, here=ZONE_DATA_VERSION)
        self._noted = True

    async def _renew(self, batch: int) -> bool:
        async with self._database.transaction() as connection:
            rows = await cursor.outdated(connection, ZONE_DATA_VERSION, batch)
            if not rows:
                return False
            planned = await _computed(connection, rows)
            await write(connection, planned)
        _tell(rows, planned)
        await conclude(self._database, self._hints, planned)
        return True

    async def _set_aside(self, failure: BaseException) -> bool:
        async with self._database.transaction() as connection:
            for row in await cursor.outdated(connection, ZONE_DATA_VERSION, 1):
                await set_aside(connection, row["task"], f"could not be planned with new zone data: {failure}")
        return True


async def _computed(connection: Connection, rows: Sequence[Any]) -> Planned:
    """The next instants of the cursors that the ledger does not know by name."""
    known: dict[Any, list[Any]] = {row["task"]: list(row["skipped"]) for row in rows}
    for _ in range(MOST_DECIDED):
        planned = await asyncio.to_thread(compute, [{**row, "skipped": known[row["task"]]} for row in rows])
        columns = planned.columns
        decided = await cursor.decided(connection, columns.tasks, columns.keys)
        if not decided:
            break
        for task, instant in zip(columns.tasks, columns.instants, strict=True):
            if task in decided:
                known[task].append(instant)
    return planned


def _tell(rows: Sequence[Any], planned: Planned) -> None:
    before = {row["task"]: row["next_instant"] for row in rows}
    for task, instant in zip(planned.columns.tasks, planned.columns.instants, strict=True):
        if instant != before[task]:
            MOVED.inc()
            log.info("occurrences_moved_by_zone_data", task=str(task), old=str(before[task]), new=str(instant))
