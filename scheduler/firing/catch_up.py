"""Catch-up: instants that passed while nothing could fire them run or are recorded, one cursor at a time.

A cursor that is more than five seconds late does not simply fire: its policy may select a later instant, or none. One
transaction settles at most a thousand instants, moves the cursor past them and fires at most one, so that a crash
repeats nothing and an outage of months does not hold a lock for minutes.
"""

import asyncio
import json

from ordinaut.store.database import Database
from ordinaut.store.hints import BUFFERED, OUTBOX, WORK, Hints
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor
from ordinaut.store.tasks.cursor import PendingCursor
from ordinaut.telemetry import get_logger
from scheduler.firing import next_instant
from scheduler.firing.catch_up_policy import ALL, CatchUpPolicy
from scheduler.firing.merged_rows import record
from scheduler.firing.missed_instants import (
    MissedInstants,
    UnskippedInstants,
    find_missed,
    reusable_state,
    start_with_jitter,
)
from scheduler.maintenance.task_lifecycle import set_aside
from scheduler.metrics import ENQUEUED
from scheduler.schedules.schedule import CompiledSchedule

log = get_logger()


class CatchUp:
    """Runs the missed instants of late cursors which their policies keep, and records the others.

    All schedulers together start at most `per_second` such runs a second, so that a thousand schedules do not start at
    once after an outage. With the policy ALL, the runs of one task which may not overlap are buffered.
    """

    def __init__(self, database: Database, hints: Hints, per_second: int = 100) -> None:
        self._database = database
        self._hints = hints
        self._per_second = per_second

    async def run_once(self) -> bool:
        """Moves one late cursor; True if there was one and another may follow at once."""
        async with self._database.transaction() as connection:
            if not await cursor.may_catch_up(connection):
                return False
            late = await cursor.late(connection)
            if late is None:
                return False
            # A caller chose the time of a snoozed instant, so it runs late; the policy decides about missed ones only.
            if not late.snoozed and not await self._move_to_next(connection, late):
                return True
            fired = await cursor.fire_one(connection, late.task, always_buffer=_always_buffer(late))
            await cursor.count_catch_up(connection, self._per_second)
        ENQUEUED.labels("catch_up").inc(fired.queued)
        self._hints.send(WORK, OUTBOX, *([BUFFERED] if fired.buffered else []))
        return True

    async def _move_to_next(self, connection: Connection, late: PendingCursor) -> bool:
        """Records the instants that will not run, and moves the cursor to the one that will; True if one will."""
        try:
            missed, columns = await asyncio.to_thread(_compute, late)
        except Exception as defect:  # noqa: BLE001 - one task's defect must not stop the catch-up of all others
            await set_aside(connection, late.task, "could not be caught up", defect)
            return False
        await record(connection, late.project, late.task, late.generation, missed)
        if missed.to_run is None:
            await next_instant.advance(connection, late.task, missed, None)
        await cursor.plan(connection, columns)
        log.info("caught_up", task=str(late.task), recorded=missed.count)
        return missed.to_run is not None


def _always_buffer(late: PendingCursor) -> bool:
    """Whether missed runs are buffered under any overlap policy but ALLOW."""
    return not late.snoozed and CatchUpPolicy.of(json.loads(late.schedule)).name == ALL


def _compute(late: PendingCursor) -> tuple[MissedInstants, cursor.PlanColumns]:
    """The missed instants, and the cursor's next one: the instant to run, or the first that is not settled yet."""
    schedule = CompiledSchedule.read(late.schedule)
    instants = UnskippedInstants(schedule, late.skipped)
    missed = find_missed(
        instants,
        CatchUpPolicy.of(json.loads(late.schedule)),
        late.last_instant,
        reusable_state(late.trigger_state, late.zone_data),
        now=late.now,
        start_of=start_with_jitter(schedule, late.task),
    )
    instant, state, columns = missed.to_run, missed.state, cursor.PlanColumns()
    if not missed.complete:
        instant, state = instants.next(missed.last_instant, state)
    if instant is not None:
        next_instant.add(columns, late.task, late.generation, schedule, instant, state)
    return missed, columns
