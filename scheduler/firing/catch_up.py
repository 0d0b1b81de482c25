"""Catch-up: instants that passed while nothing could fire them are accounted for, one cursor at a time."""

import asyncio
import json
from typing import Any

from ordinaut.store import cursor
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, TURN, WORK, Hints
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from scheduler.firing import next_instant
from scheduler.firing.missed_instants import ALL, CatchUpPolicy, Passed, Steps, missed
from scheduler.maintenance.task_lifecycle import set_aside
from scheduler.metrics import ENQUEUED, UNFIRED
from scheduler.schedules.schedule import CompiledSchedule

log = get_logger()


class CatchUp:
    """Runs the missed instants of late cursors that their policies want, and records the others.

    All schedulers together start at most `per_second` such runs a second, so that an outage does not end in a
    stampede. With the policy ALL the runs of one task that may not overlap wait for their turns.
    """

    def __init__(self, database: Database, hints: Hints, per_second: int = 100) -> None:
        self._database = database
        self._hints = hints
        self._per_second = per_second

    async def run_once(self) -> bool:
        """Moves one late cursor; True when there was one and another may follow at once."""
        async with self._database.transaction() as connection:
            if not await cursor.may_catch_up(connection):
                return False
            row = await cursor.late(connection)
            if row is None:
                return False
            # What was snoozed waits for the moment that a person chose, not for a policy about missed ones.
            if not row["snoozed"] and not await self._moved_to_next(connection, row):
                return True
            fired = await cursor.fire_one(connection, row["task"], in_turn=_in_turn(row))
            await cursor.count_catch_up(connection, self._per_second)
        ENQUEUED.labels("catch_up").inc(fired.queued)
        self._hints.send(WORK, OUTBOX, *([TURN] if fired.buffered else []))
        return True

    async def _moved_to_next(self, connection: Connection, row: Any) -> bool:
        """Accounts for what is not to run, and moves the cursor to the instant that is; False when there is none."""
        try:
            passed, columns = await asyncio.to_thread(_computed, row)
        except Exception as defect:  # noqa: BLE001 - one task's defect must not stop the catching up of all others
            await set_aside(connection, row["task"], f"could not be caught up: {defect}")
            return False
        await record(connection, row, passed)
        if passed.next is None:
            await next_instant.move(connection, row, passed, None)
        await cursor.plan(connection, columns)
        log.info("caught_up", task=str(row["task"]), recorded=passed.count)
        return passed.next is not None


def _in_turn(row: Any) -> bool:
    """Whether the runs of what was missed wait for each other, whatever the overlap policy says."""
    return not row["snoozed"] and CatchUpPolicy.of(json.loads(row["schedule"])).name == ALL


def _computed(row: Any) -> tuple[Passed, cursor.PlanColumns]:
    """What has passed, and what the cursor says next: the instant to run, or where the search goes on at once."""
    schedule = CompiledSchedule.read(row["schedule"])
    passed = missed(schedule, CatchUpPolicy.of(json.loads(row["schedule"])), row)
    instant, state, columns = passed.next, passed.state, cursor.PlanColumns()
    if not passed.all_seen:
        instant, state = Steps(schedule, row["skipped"]).next(passed.last_instant, state)
    if instant is not None:
        next_instant.add(columns, row["task"], row["generation"], schedule, instant, state)
    return passed, columns


async def record(connection: Connection, row: Any, passed: Passed) -> None:
    """Writes the ledger rows: neighbours with one outcome and reason stand in one."""
    columns = cursor.UnfiredColumns()
    for outcome, reason, instants in passed.groups:
        columns.keys.append(next_instant.occurrence_key(row["generation"], instants[0]))
        columns.triggers.append(instants[0].trigger_id)
        columns.instants.append(instants[0].time)
        columns.last_instants.append(instants[-1].time)
        columns.counts.append(len(instants))
        columns.outcomes.append(outcome)
        columns.reasons.append(reason)
        UNFIRED.labels(outcome).inc(len(instants))
    if columns.keys:
        await cursor.record_unfired(connection, project=row["project"], task=row["task"], unfired=columns)
