"""Plan: computes the next instant of cursors that have none, off the event loop."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ordinaut.store import cursor
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, Hints
from ordinaut.store.sql import Connection, Record
from scheduler.firing import next_instant
from scheduler.firing.bisect import bisect
from scheduler.firing.catch_up import record
from scheduler.firing.missed_instants import Passed, Steps, kept_state, passed_while_paused
from scheduler.maintenance.task_lifecycle import complete, set_aside
from scheduler.metrics import PLANNED
from scheduler.schedules.schedule import CompiledSchedule

BATCH_SECONDS = 0.1


@dataclass(slots=True)
class Planned:
    """What one batch came to."""

    columns: cursor.PlanColumns = field(default_factory=cursor.PlanColumns)
    ended: list[UUID] = field(default_factory=list)
    paused: list[tuple[Record, Passed]] = field(default_factory=list)
    failed: list[tuple[UUID, str]] = field(default_factory=list)


class Plan:
    """Plans cursors in batches of at most 100 ms."""

    def __init__(self, database: Database, hints: Hints, batch: int) -> None:
        self._database = database
        self._hints = hints
        self._batch = batch

    async def run_once(self) -> bool:
        """Plans one batch; True when there was any."""
        return await bisect(self._batch, self._plan, self._set_aside)

    async def _plan(self, batch: int) -> bool:
        async with self._database.transaction() as connection:
            rows = await cursor.unplanned(connection, batch)
            if not rows:
                return False
            planned = await asyncio.to_thread(compute, rows)
            await write(connection, planned)
        PLANNED.inc(len(planned.columns.tasks))
        await conclude(self._database, self._hints, planned)
        return True

    async def _set_aside(self, failure: BaseException) -> bool:
        async with self._database.transaction() as connection:
            if task := await cursor.first_unplanned(connection):
                await set_aside(connection, task, f"could not be planned: {failure}")
        return True


async def write(connection: Connection, planned: Planned) -> None:
    """Writes what was computed into the locked cursors."""
    for row, passed in planned.paused:
        await record(connection, row, passed)
        accounted = passed.all_seen and passed.next is None
        await next_instant.move(connection, row, passed, None if accounted else row["paused_until"])
    await cursor.plan(connection, planned.columns)
    for task, reason in planned.failed:
        await set_aside(connection, task, f"could not be planned: {reason}")


async def conclude(database: Database, hints: Hints, planned: Planned) -> None:
    """What follows once that is committed: tasks whose schedule has ended are completed."""
    if planned.ended:
        async with database.transaction() as connection:
            await complete(connection, planned.ended)
    if planned.ended or planned.failed:
        hints.send(OUTBOX)


def compute(rows: Sequence[Any]) -> Planned:
    """The next instants of a batch of cursors, as many as fit into 100 ms; the others stay unplanned."""
    planned = Planned()
    deadline = time.monotonic() + BATCH_SECONDS
    for row in rows:
        if time.monotonic() > deadline:
            break
        try:
            _compute_one(row, planned)
        except Exception as defect:  # noqa: BLE001 - one task's defect must not stop the clock of all others
            planned.failed.append((row["task"], str(defect) or type(defect).__name__))
    return planned


def _compute_one(row: Any, planned: Planned) -> None:
    schedule = CompiledSchedule.read(row["schedule"])
    state, steps = kept_state(row), Steps(schedule, row["skipped"])
    start = None
    if row["paused_until"] is not None:
        passed = passed_while_paused(
            steps, row["last_instant"], state, row["paused_until"], but_newest=row["run_newest"]
        )
        if passed.count:
            planned.paused.append((row, passed))
            return
        start = row["now"] if passed.next else None
    instant, state = steps.next(row["last_instant"], state)
    next_instant.add(planned.columns, row["task"], row["generation"], schedule, instant, state, start)
    if instant is None and schedule.has_time_triggers:
        planned.ended.append(row["task"])
