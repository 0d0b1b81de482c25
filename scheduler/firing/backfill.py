"""Backfill: stretches of a task's past become runs, as many at a time as each backfill allows.

Any scheduler may do the next stretch of any backfill. Its position moves in the transaction that queues the runs, so
that each instant is dealt with once, whoever is killed when.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from ordinaut.store import backfill
from ordinaut.store.backfill import RunColumns
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import OUTBOX, WORK, Hints
from ordinaut.store.sql import Connection, Record
from ordinaut.telemetry import get_logger
from scheduler.firing.merged_rows import split_around
from scheduler.firing.next_instant import occurrence_key
from scheduler.firing.time_range import Due, Stretch, behind, newest_first, oldest_first
from scheduler.metrics import ENQUEUED
from scheduler.schedules.schedule import CompiledSchedule

log = get_logger()
Place = tuple[UUID, datetime]  # a backfill and its position
LEAST, MOST = 64, 1000  # instants that one turn looks at
LOOK_AHEAD = 4  # for each run that may be queued: the others were run before


class Backfill:
    """Moves backfills on."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._ahead: tuple[Place, asyncio.Task[Stretch]] | None = None

    async def turn(self) -> bool:
        """One stretch of the backfill that has waited longest; True when there was one."""
        async with self._database.connection() as connection:
            row = await backfill.take_turn(connection)
        if row is None:
            return False
        try:
            stretch = await self._stretch(row)
            enqueued = await self._database.repeat(lambda connection: _enqueue(connection, row, stretch))
        except STORE_FAILURES:
            raise
        except Exception as defect:  # noqa: BLE001 - one backfill's defect must not stop those of all others
            await self._set_aside(row, defect)
            return True
        if enqueued:
            ENQUEUED.labels("backfill").inc(enqueued)
            self._hints.send(WORK, OUTBOX)
        return True

    async def _stretch(self, row: Record) -> Stretch:
        """What a backfill looks at next; while its runs are queued, what it would look at then is worked out."""
        ahead, self._ahead = self._ahead, None
        known = ahead is not None and ahead[0] == (row["uid"], row["position"])
        stretch = await ahead[1] if ahead and known else await asyncio.to_thread(stretch_of, row)
        if not stretch.whole and len(stretch.due) < row["parallelism"] - row["live"]:
            position = behind(stretch.due[-1].instant.time, newest=row["newest_first"])
            following = {**row, "position": position, "live": row["live"] + len(stretch.due)}
            work = asyncio.create_task(asyncio.to_thread(stretch_of, following))
            work.add_done_callback(_looked_at)
            self._ahead = (row["uid"], position), work
        return stretch

    async def _set_aside(self, row: Record, defect: Exception) -> None:
        log.error("backfill_cancelled_on_error", task=str(row["task"]), backfill=str(row["uid"]), failure=str(defect))
        async with self._database.transaction() as connection:
            reason = f"could not go on: {str(defect) or type(defect).__name__}"
            await backfill.set_aside(connection, backfill=row["uid"], reason=reason)


def _looked_at(work: "asyncio.Task[Stretch]") -> None:
    """What failed ahead of its turn fails again in its turn, and is told then."""
    if not work.cancelled():
        work.exception()


def stretch_of(row: Any) -> Stretch:
    """The instants that a backfill looks at next; `row` is its own."""
    schedule = CompiledSchedule.read(row["schedule"])
    limit = min(max((row["parallelism"] - row["live"]) * LOOK_AHEAD, LEAST), MOST)
    if not row["newest_first"]:
        return oldest_first(schedule, row["position"], row["until_time"], limit)
    width = (row["until_time"] - row["after_time"]) * limit / max(row["total"], 1)
    return newest_first(schedule, row["after_time"], row["position"], limit, width)


async def _enqueue(connection: Connection, row: Record, stretch: Stretch) -> int:
    """Queues what is wanted of a stretch, up to the backfill's parallelism, and moves it behind that."""
    locked = await backfill.lock(connection, backfill=row["uid"], task=row["task"], position=row["position"])
    if locked is None:
        return 0
    found = await backfill.examine(
        connection,
        task=row["task"],
        reprocess=row["reprocess"],
        accounted=locked["accounted"],
        instants=[due.instant.time for due in stretch.due],
        keys=[occurrence_key(row["generation"], due.instant) for due in stretch.due],
    )
    wanted, seen = _first_wanted(found, row["parallelism"] - locked["live"])
    if wanted:
        runs = await _columns(connection, row, [(stretch.due[place], found[place]) for place in wanted])
        await backfill.enqueue(connection, row["uid"], runs)
    position = None
    if seen < len(found) or not stretch.whole:
        position = behind(found[seen - 1]["instant"], newest=row["newest_first"]) if seen else row["position"]
    await backfill.move(
        connection, backfill=row["uid"], position=position, enqueued=len(wanted), skipped=seen - len(wanted)
    )
    return len(wanted)


def _first_wanted(found: Sequence[Record], room: int) -> tuple[list[int], int]:
    """The places of the first `room` that are wanted, and how many have been seen up to there.

    What follows the last of them is left for the next turn, wanted or not.
    """
    places = [place for place, record in enumerate(found) if record["wanted"]]
    if len(places) <= room:
        return places, len(found)
    return places[:room], places[room - 1] + 1 if room > 0 else 0


async def _columns(connection: Connection, row: Record, chosen: Sequence[tuple[Due, Record]]) -> RunColumns:
    """The runs to be, once each has, or can get, a row of its own in the ledger."""
    joint = [due.instant.time for due, record in chosen if record["key"] is None or record["collapsed"]]
    own = await split_around(connection, row["task"], joint) if joint else {}
    columns = RunColumns()
    for due, record in chosen:
        instant = due.instant
        key = own.get(instant.time) or (None if record["collapsed"] else record["key"])
        columns.instants.append(instant.time)
        columns.keys.append(key or occurrence_key(row["generation"], instant))
        columns.known.append(key is not None)
        columns.triggers.append(instant.trigger_id)
        columns.params.append(json.dumps(instant.params) if instant.params else None)
        columns.interval_ends.append(due.following)
    return columns
