"""Backfills on a database whose clock the test turns: begin one, let it run, look at what came of it."""

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from ordinaut.store.queue.due_work_claim import ClaimedRun
from ordinaut.store.tasks import backfill
from ordinaut.store.tasks.backfill import BackfillRecord, NewBackfill
from scheduler.schedules.schedule import CompiledSchedule
from tests.integration.support.queue_rig import Rig
from tests.integration.support.scheduler_rig import LoopRunner, open_instants


async def begin(
    rig: Rig, task: UUID, after: datetime, until: datetime, name: str = "again", **fields: Any
) -> BackfillRecord:
    """A backfill of (after, until] that allows a hundred live runs and whatever `fields` say."""
    schedule = CompiledSchedule.compile(await rig.schedule(task))
    given: dict[str, Any] = {
        "newest_first": False, "reprocess": "NONE", "parallelism": 100, "priority": 9, "params": "{}", **fields,
    }  # fmt: skip
    total = len(open_instants(schedule, after, until))
    wish = NewBackfill(id=name, after_time=after, until_time=until, total=total, **given)
    async with rig.database.transaction() as connection:
        made = await backfill.create(connection, task, wish)
    assert made is not None
    return made


async def look(rig: Rig, task: UUID, name: str = "again") -> BackfillRecord:
    async with rig.database.connection() as connection:
        found = await backfill.get(connection, task, name)
    assert found is not None
    return found


async def end(rig: Rig, holder: UUID, *claimed: ClaimedRun, state: str = "SUCCEEDED") -> None:
    """Ends claimed runs, and counts them as the matcher would."""
    await rig.complete(holder, *claimed, state=state)
    async with rig.database.transaction() as connection:
        await backfill.settle(connection, {run.id: state for run in claimed})


async def run_out(
    rig: Rig,
    runner: LoopRunner,
    holder: UUID,
    *,
    pick: Callable[[], str] = lambda: "SUCCEEDED",
    seen: Callable[[int], None] = lambda _live: None,
) -> list[datetime]:
    """Lets the backfills run until nothing moves; the scheduled times of their runs in the order of the claims."""
    ran: list[datetime] = []
    while True:
        await runner.backfill()
        seen(await rig.value("SELECT count(*) FROM due_work WHERE kind = 'BACKFILL'"))
        claimed = await rig.claim(holder, random.randint(1, 30))
        if not claimed:
            return ran
        for row in sorted(claimed, key=lambda row: row.id):
            if row.kind == "BACKFILL":  # what the clock has started stays as it is
                await end(rig, holder, row, state=pick())
                assert row.scheduled_time is not None
                ran.append(row.scheduled_time)
