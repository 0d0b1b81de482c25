"""Settles the ranges that a change, a pause or a deletion of a task left unsettled.

Their instants are caught up by the policy and the task version of that time. An instant which the policy runs still
runs if the task is active.
"""

import asyncio
import json

from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import BUFFERED, OUTBOX, WORK, Hints
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor, unsettled_range
from ordinaut.store.tasks.cursor import Fired, PlanColumns
from ordinaut.store.tasks.unsettled_range import UnsettledRange
from ordinaut.telemetry import get_logger
from scheduler.firing import next_instant
from scheduler.firing.catch_up_policy import ALL, CatchUpPolicy
from scheduler.firing.merged_rows import record
from scheduler.firing.missed_instants import MissedInstants, UnskippedInstants, find_unsettled
from scheduler.metrics import ENQUEUED
from scheduler.schedules.schedule import CompiledSchedule

log = get_logger()


class UnsettledRanges:
    """Records the outcomes of the instants in unsettled ranges, and runs those that are caught up."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Settles a part of the oldest range; True if there was one."""
        async with self._database.transaction() as connection:
            unsettled = await unsettled_range.oldest(connection)
            if unsettled is None:
                return False
            try:
                async with connection.transaction():
                    fired = await _settle(connection, unsettled)
            except STORE_FAILURES:
                raise
            except Exception as defect:  # noqa: BLE001 - one task's defect must not block the ranges of all others
                log.error("unsettled_range_dropped", task=str(unsettled.task), failure=str(defect))
                await unsettled_range.settle(connection, unsettled.id)
                return True
        if fired.queued:
            ENQUEUED.labels("catch_up").inc(fired.queued)
            self._hints.send(WORK, OUTBOX, *([BUFFERED] if fired.buffered else []))
        return True


async def _settle(connection: Connection, unsettled: UnsettledRange) -> Fired:
    """Settles at most one transaction's instants, and runs at most one."""
    missed, planned = await asyncio.to_thread(_compute, unsettled)
    await record(connection, unsettled.project, unsettled.task, unsettled.generation, missed)
    fired = await _fire(connection, unsettled, planned)
    if missed.to_run is not None:
        await unsettled_range.move(connection, unsettled.id, missed.to_run.time)
    elif missed.complete:
        await unsettled_range.settle(connection, unsettled.id)
    else:
        await unsettled_range.move(connection, unsettled.id, missed.last_instant)
    return fired


async def _fire(connection: Connection, unsettled: UnsettledRange, planned: PlanColumns) -> Fired:
    if not planned.instants:
        return Fired(moved=0)
    always_buffer = CatchUpPolicy.of(json.loads(unsettled.schedule)).name == ALL
    return await unsettled_range.fire(
        connection, task=unsettled.task, version=unsettled.task_version, planned=planned, always_buffer=always_buffer
    )


def _compute(unsettled: UnsettledRange) -> tuple[MissedInstants, PlanColumns]:
    """The missed instants, and the instant to run, if any, as columns."""
    schedule, planned = CompiledSchedule.read(unsettled.schedule), cursor.PlanColumns()
    missed = find_unsettled(
        UnskippedInstants(schedule, unsettled.skipped),
        CatchUpPolicy.of(json.loads(unsettled.schedule)),
        unsettled.after_time,
        unsettled.until_time,
        now=unsettled.now,
        paused=unsettled.paused,
        obstacle=unsettled.obstacle,
    )
    if missed.to_run is not None:
        next_instant.add(planned, unsettled.task, unsettled.generation, schedule, missed.to_run, missed.state)
    return missed, planned
