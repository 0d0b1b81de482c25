"""Plan: computes the next instant of cursors without one, off the event loop."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, Hints
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor
from ordinaut.store.tasks.cursor import PendingCursor
from scheduler.firing import next_instant
from scheduler.firing.bisect import bisect_batch
from scheduler.firing.merged_rows import record
from scheduler.firing.missed_instants import MissedInstants, UnskippedInstants, find_paused, reusable_state
from scheduler.maintenance.task_lifecycle import complete, set_aside
from scheduler.metrics import PLANNED
from scheduler.schedules.schedule import CompiledSchedule

BATCH_SECONDS = 0.1


@dataclass(slots=True)
class Planned:
    """The result of computing one batch.

    `ended` tasks have no further instant, `paused` cursors have instants of a pause to record, and `failed` tasks could
    not be computed, for that reason.
    """

    columns: cursor.PlanColumns = field(default_factory=cursor.PlanColumns)
    ended: list[UUID] = field(default_factory=list)
    paused: list[tuple[PendingCursor, MissedInstants]] = field(default_factory=list)
    failed: list[tuple[UUID, Exception]] = field(default_factory=list)


class Plan:
    """Plans cursors in batches of at most 100 ms."""

    def __init__(self, database: Database, hints: Hints, batch: int) -> None:
        self._database = database
        self._hints = hints
        self._batch = batch

    async def run_once(self) -> bool:
        """Plans one batch; True when it was not empty."""
        return await bisect_batch(self._batch, self._plan, self._set_aside)

    async def _plan(self, batch: int) -> bool:
        async with self._database.transaction() as connection:
            unplanned = await cursor.unplanned(connection, batch)
            if not unplanned:
                return False
            planned = await asyncio.to_thread(compute, unplanned)
            await write(connection, planned)
        PLANNED.inc(len(planned.columns.tasks))
        await conclude(self._database, self._hints, planned)
        return True

    async def _set_aside(self, failure: BaseException) -> bool:
        async with self._database.transaction() as connection:
            if task := await cursor.first_unplanned(connection):
                await set_aside(
                    connection,
                    task,
                    "could not be planned",
                    failure,
                )
        return True


async def write(connection: Connection, planned: Planned) -> None:
    """Stores the result in the locked cursors."""
    for pending, missed in planned.paused:
        await record(connection, pending.project, pending.task, pending.generation, missed)
        is_recorded = missed.complete and missed.to_run is None
        await next_instant.advance(connection, pending.task, missed, None if is_recorded else pending.paused_until)
    await cursor.plan(connection, planned.columns)
    for task, defect in planned.failed:
        await set_aside(connection, task, "could not be planned", defect)


async def conclude(database: Database, hints: Hints, planned: Planned) -> None:
    """Completes the tasks of ended schedules; to be called after the commit."""
    if planned.ended:
        async with database.transaction() as connection:
            await complete(connection, planned.ended)
    if planned.ended or planned.failed:
        hints.send(OUTBOX)


def compute(batch: Sequence[PendingCursor]) -> Planned:
    """Computes the next instants of as many cursors as 100 ms allow; the others stay unplanned."""
    planned = Planned()
    deadline = time.monotonic() + BATCH_SECONDS
    for pending in batch:
        if time.monotonic() > deadline:
            break
        try:
            _compute_one(pending, planned)
        except Exception as defect:  # noqa: BLE001 - one task's defect must not stop the planning of all others
            planned.failed.append((pending.task, defect))
    return planned


def _compute_one(pending: PendingCursor, planned: Planned) -> None:
    schedule = CompiledSchedule.read(pending.schedule)
    instants = UnskippedInstants(schedule, pending.skipped)
    state = reusable_state(pending.trigger_state, pending.zone_data)
    start = None
    if pending.paused_until is not None:
        missed = find_paused(instants, pending.last_instant, state, pending.paused_until, run_newest=pending.run_newest)
        if missed.count:
            planned.paused.append((pending, missed))
            return
        start = pending.now if missed.to_run else None
    instant, new_state = instants.next(pending.last_instant, state)
    next_instant.add(planned.columns, pending.task, pending.generation, schedule, instant, new_state, start)
    if instant is None and schedule.has_time_triggers:
        planned.ended.append(pending.task)
