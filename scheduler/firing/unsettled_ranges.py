"""Arrears: what passed before a task was changed, paused or deleted, and was not accounted for by then.

It is caught up by the policy and the version of that time. What the policy would run still does if the task is active.
"""

import asyncio
import json
from typing import Any

from ordinaut.store import arrears, cursor
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import OUTBOX, TURN, WORK, Hints
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from scheduler.firing import next_instant
from scheduler.firing.catch_up import record
from scheduler.firing.missed_instants import ALL, CatchUpPolicy, Passed, left_behind
from scheduler.metrics import ENQUEUED
from scheduler.schedules.schedule import CompiledSchedule

log = get_logger()


class Arrears:
    """Enters in the ledger what became of the instants of stretches that were left behind."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def turn(self) -> bool:
        """Works on the oldest stretch; True when there was one."""
        async with self._database.transaction() as connection:
            row = await arrears.oldest(connection)
            if row is None:
                return False
            try:
                async with connection.transaction():
                    queued, buffered = await _account(connection, row)
            except STORE_FAILURES:
                raise
            except Exception as defect:  # noqa: BLE001 - one task's defect must not stop the accounts of all others
                log.error("unsettled_range_dropped", task=str(row["task"]), failure=str(defect))
                await arrears.settle(connection, row["id"])
                return True
        if queued:
            ENQUEUED.labels("catch_up").inc(queued)
            self._hints.send(WORK, OUTBOX, *([TURN] if buffered else []))
        return True


async def _account(connection: Connection, row: Any) -> tuple[int, int]:
    """Moves a stretch on; how many runs came of that, and how many of these wait for their turn."""
    passed, planned = await asyncio.to_thread(_computed, row)
    await record(connection, row, passed)
    queued = await _fire(connection, row, planned)
    if passed.next is None and passed.all_seen:
        await arrears.settle(connection, row["id"])
    else:
        await arrears.move(connection, row["id"], passed.next.time if passed.next else passed.last_instant)
    return queued


async def _fire(connection: Connection, row: Any, planned: cursor.PlanColumns) -> tuple[int, int]:
    if not planned.instants:
        return 0, 0
    in_turn = CatchUpPolicy.of(json.loads(row["schedule"])).name == ALL
    return await arrears.fire(
        connection, task=row["task"], version=row["task_version"], planned=planned, in_turn=in_turn
    )


def _computed(row: Any) -> tuple[Passed, cursor.PlanColumns]:
    """What has passed, and the instant that is to run, if any."""
    schedule, planned = CompiledSchedule.read(row["schedule"]), cursor.PlanColumns()
    passed = left_behind(schedule, CatchUpPolicy.of(json.loads(row["schedule"])), row)
    if passed.next is not None:
        next_instant.add(planned, row["task"], row["generation"], schedule, passed.next, passed.state)
    return passed, planned
