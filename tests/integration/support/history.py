"""What a simulation promises, done by the live planner: real rows in a real database, on a clock that is turned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Any
from uuid import UUID

from ordinaut.store.hints import BUFFERED, Hints
from ordinaut.store.queue import due_work_claim, due_work_finish
from ordinaut.store.queue.due_work_claim import ClaimedRun
from ordinaut.store.tasks import cursor, task
from scheduler.events.matcher import Matcher
from scheduler.events.relay import Relay
from scheduler.maintenance.promote import Promote
from scheduler.maintenance.release_blocked import ReleaseBlocked
from scheduler.simulation.scenario import Span
from tests.integration.support.queue_rig import Rig
from tests.integration.support.scheduler_rig import LoopRunner, NoStream

TICK = timedelta(microseconds=1)
NEXT_FIRE = (
    "SELECT min(next_fire_time) FROM schedule_cursor WHERE next_fire_time > clock_now() AND next_fire_time < 'infinity'"
)
NEXT_DEADLINE = "SELECT min(latest_start) FROM due_work WHERE start_time IS NULL AND latest_start > clock_now()"
PENDING = """
SELECT EXISTS (SELECT FROM schedule_cursor WHERE next_instant < $1) OR EXISTS (SELECT FROM due_work)
"""
NOTHING_BEYOND = "UPDATE schedule_cursor SET next_fire_time = 'infinity' WHERE next_instant >= $1"
LEDGER = """
SELECT instant, coalesce(last_instant, instant) AS last, count, outcome, reason, create_time, run
FROM occurrence WHERE task = $1 AND instant < $2 ORDER BY instant
"""


@dataclass
class Worker:
    """Starts what is ready at once; each task's runs take their durations in turn."""

    rig: Rig
    holder: UUID
    durations: Mapping[UUID, tuple[Sequence[timedelta], int]]
    started: dict[UUID, int] = field(default_factory=dict)
    runs: dict[UUID, tuple[datetime | None, datetime, str]] = field(default_factory=dict)
    live: list[tuple[datetime, int, ClaimedRun]] = field(default_factory=list)

    async def start(self) -> bool:
        """Claims what there is; whether there was anything."""
        claimed = sorted(await self.rig.claim(self.holder), key=lambda row: row.id)
        for row in claimed:
            durations, fail_every = self.durations[row.task]
            number = self.started[row.task] = self.started.get(row.task, 0) + 1
            end = self.rig.now + durations[(number - 1) % len(durations)]
            state = "FAILED" if fail_every and number % fail_every == 0 else "SUCCEEDED"
            self.runs[row.id] = (self.rig.now, end, state)
            heappush(self.live, (end, len(self.runs), row))
        return bool(claimed)

    async def end(self) -> None:
        """Ends what has taken its time."""
        while self.live and self.live[0][0] <= self.rig.now:
            row = heappop(self.live)[2]
            assert await self.rig.complete(self.holder, row, state=self.runs[row.id][2])

    async def stop(self) -> None:
        """Ends what is to be cancelled."""
        async with self.rig.database.transaction() as connection:
            wanted = set(await due_work_claim.cancel_requests(connection, self.holder))
            rows = [live[2] for live in self.live if live[2].id in wanted]
            for row in rows:
                await due_work_finish.end_cancelled_owned(connection, self.holder, [row.id], [row.fence])
                self.runs[row.id] = (self.runs[row.id][0], self.rig.now, "CANCELLED")
        self.live = [live for live in self.live if live[2].id not in wanted]
        heapify(self.live)


class Life:
    """Some tasks, lived through a window in which schedulers are away and people pause."""

    def __init__(self, rig: Rig, worker: Worker, end: datetime, outages: Sequence[Span]) -> None:
        self._rig = rig
        self._worker = worker
        self._end = end
        self._outages = outages
        self._pauses: list[tuple[datetime, UUID, bool]] = []
        self._hints = Hints(rig.database)
        self._clockwork = LoopRunner(rig.database, rig.settings)
        self._relay = Relay(rig.database, NoStream(), self._hints)  # type: ignore[arg-type]
        self._promote = Promote(rig.database, self._hints)
        self._releaser = ReleaseBlocked(rig.database, self._hints)

    def pause(self, uid: UUID, spans: Sequence[Span]) -> None:
        """Has somebody pause and resume a task."""
        self._pauses += [(span.start, uid, True) for span in spans] + [(span.end, uid, False) for span in spans]
        self._pauses.sort()

    async def live(self) -> None:
        """From now to the end of the window, and until what was due in it is over."""
        await self._work()
        while self._rig.now < self._end or await self._rig.value(PENDING, self._end):
            moment = await self._next_moment()
            await self._rig.turn_clock(seconds=(moment - self._rig.now).total_seconds())
            await self._worker.end()
            while self._pauses and self._pauses[0][0] <= self._rig.now:
                _, uid, paused = self._pauses.pop(0)
                await self._set_paused(uid, paused=paused)
            await self._worker.start()
            if not self._is_out():
                await self._judge()
                await self._work()

    async def rows(self, uid: UUID) -> list[tuple[Any, ...]]:
        """The ledger of a task with its runs, in the order of time."""
        rows = await self._rig.rows(LEDGER, uid, self._end)
        never_started = await self._rig.rows(
            "SELECT id, end_time FROM run WHERE task = $1 AND start_time IS NULL AND error IS NULL", uid
        )
        runs = self._worker.runs | {row["id"]: (None, row["end_time"], "CANCELLED") for row in never_started}
        return [(*tuple(row)[:-1], runs.get(row["run"])) for row in rows]

    def _is_out(self) -> bool:
        return any(outage.start <= self._rig.now < outage.end for outage in self._outages)

    async def _next_moment(self) -> datetime:
        now, last = self._rig.now, self._end - TICK
        moments = [edge for outage in self._outages for edge in outage if edge > now]
        moments += [pause[0] for pause in self._pauses[:1]]
        moments += [live[0] for live in self._worker.live[:1]]
        moments += [moment for moment in (last, self._end) if moment > now]
        if not self._is_out():
            found = [await self._rig.value(question) for question in (NEXT_FIRE, NEXT_DEADLINE)]
            moments += [moment for moment in found if moment]
        return min(moments)

    async def _judge(self) -> None:
        """Tells the matcher what has ended."""
        await self._relay.number()
        last = "SELECT (SELECT value FROM position WHERE name = 'events') - value FROM position WHERE name = 'matcher'"
        while await self._rig.value(last):  # a fresh one does not wait for the stream
            await Matcher(self._rig.database, self._hints).run_once()

    async def _work(self) -> None:
        """Everything that is due by now; at the end of the window what is paused is resumed, to be recorded."""
        if self._rig.now == self._end - TICK:
            for row in await self._rig.rows("SELECT uid FROM task WHERE state = 'PAUSED'"):
                await self._set_paused(row["uid"], paused=False)
        moved = True
        while moved:
            before = await self._rig.value("SELECT count(*) FROM occurrence")
            started = await self._release_blocked()
            await self._clockwork.once()
            await self._rig.execute(NOTHING_BEYOND, self._end)
            moved = started or before != await self._rig.value("SELECT count(*) FROM occurrence")

    async def _release_blocked(self) -> bool:
        """Ends who waits too long or is overtaken, starts who is next; whether anybody did."""
        started = False
        for _ in range(3):
            while await self._promote.run_once():
                pass
            self._hints.send(BUFFERED)
            while await self._releaser.run_once():
                pass
            await self._worker.stop()
            started |= await self._worker.start()
        return started

    async def _set_paused(self, uid: UUID, *, paused: bool) -> None:
        state = "PAUSED" if paused else "ACTIVE"
        if await self._rig.value("SELECT state FROM task WHERE uid = $1", uid) == state:
            return
        async with self._rig.database.transaction() as connection:
            await task.set_state(connection, uid, state, "")
            await (cursor.pause if paused else cursor.resume)(connection, uid)
