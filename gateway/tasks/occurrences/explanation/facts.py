"""Reads the facts about one instant of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from gateway.api.json_values import timestamp, to_datetime
from gateway.clients import SchedulerClient
from gateway.health import Health
from gateway.tasks.conversion import to_task
from ordinaut.errors import UnavailableError
from ordinaut.internal.v1.scheduler_service_pb2 import LocateMomentRequest, LocateMomentResponse
from ordinaut.store import database_clock, system
from ordinaut.store.database import Database
from ordinaut.store.queue import due_work_claim
from ordinaut.store.runs import run
from ordinaut.store.runs.run import RunRecord
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor, occurrence, unsettled_range
from ordinaut.store.tasks.cursor import DisabledTrigger, UpcomingInstant
from ordinaut.store.tasks.occurrence import OccurrenceRecord
from ordinaut.store.tasks.task import TaskRecord
from ordinaut.v1.schedule_pb2 import Schedule

AHEAD_MAX = 10_000
GRACE = timedelta(seconds=1)  # due occurrences fire within milliseconds


@dataclass(slots=True)
class Facts:
    """Data from the tables, from the scheduler, and from health checks.

    `around` is None if the scheduler is unavailable. `place` is the position of a live run in the queue. `unsettled`:
    the instant has no outcome yet because the task was paused or changed first. `disabled_triggers` are event triggers
    with a condition that uses too much CPU time.
    """

    now: datetime
    time: datetime
    task: TaskRecord
    schedule: Schedule
    cursor: UpcomingInstant | None
    entry: OccurrenceRecord | None = None
    successor: OccurrenceRecord | None = None
    run: RunRecord | None = None
    live_run: UUID | None = None
    unsettled: bool = False
    place: due_work_claim.QueuePlace | None = None
    around: LocateMomentResponse | None = None
    previous: OccurrenceRecord | None = None
    disabled_triggers: Sequence[DisabledTrigger] = ()
    health: Mapping[str, str] = field(default_factory=dict)
    workers: int = 0

    @property
    def is_late(self) -> bool:
        """Whether the instant was due and is still without an outcome."""
        scheduled = self.around is not None and self.around.HasField("at") and not self.is_of_another_schedule
        return scheduled and self.entry is None and self.time <= self.now

    @property
    def is_of_another_schedule(self) -> bool:
        """Whether the instant is before the first one that the current schedule decides."""
        decided = self.cursor is not None and self.time <= self.cursor.last_instant
        return self.entry is None and not self.unsettled and (self.time < self.task.create_time or decided)


class FactsReader:
    """Reads facts from the tables, the scheduler and health checks."""

    def __init__(self, database: Database, scheduler: SchedulerClient, health: Health) -> None:
        self._database = database
        self._scheduler = scheduler
        self._health = health

    async def read(self, record: TaskRecord, time: datetime | None) -> Facts:
        """Reads the facts about an instant; None selects a late or queued occurrence, else the last due one."""
        async with self._database.connection() as connection:
            now = await database_clock.database_now(connection)
            seen = await cursor.upcoming(connection, record.uid)
            facts = Facts(now, time or now, record, to_task(record).schedule, seen)
            facts.disabled_triggers = await cursor.disabled_triggers(connection, record.uid)
            if time is None:
                await _choose(connection, facts)
            else:
                facts.entry = await occurrence.covering(connection, record.uid, time)
            await _follow(connection, facts)
        await self._locate(facts)
        if facts.is_late or (facts.run is not None and facts.run.state == "QUEUED"):
            await self._check_health(facts)
        return facts

    async def _locate(self, facts: Facts) -> None:
        request = LocateMomentRequest(schedule=facts.schedule, time=timestamp(facts.time), task_uid=str(facts.task.uid))
        try:
            facts.around = await self._scheduler.locate(request)
        except UnavailableError:
            return
        if facts.entry is None and facts.around.HasField("before"):
            before = to_datetime(facts.around.before_time)
            async with self._database.connection() as connection:
                facts.previous = await occurrence.covering(connection, facts.task.uid, before)

    async def _check_health(self, facts: Facts) -> None:
        facts.health = await self._health.check()
        async with self._database.connection() as connection:
            facts.workers = await system.worker_count(connection)


async def _choose(connection: Connection, facts: Facts) -> None:
    """Selects a late instant, else the oldest run that has not started, else the last entry, else the next instant."""
    seen = facts.cursor
    if (
        seen
        and seen.next_instant
        and seen.next_fire_time
        and not seen.recorded
        and seen.next_fire_time < facts.now - GRACE
    ):
        facts.time = seen.next_instant
        return
    waiting = await due_work_claim.oldest_unstarted(connection, facts.task.uid)
    if waiting is not None:
        facts.entry = await occurrence.of_run(connection, facts.task.uid, waiting)
    if facts.entry is None:
        facts.entry = await occurrence.newest(connection, facts.task.uid, facts.now)
    if facts.entry is not None:
        facts.time = facts.entry.last_instant or facts.entry.time
    elif seen is not None and seen.next_instant:
        facts.time = seen.next_instant


async def _follow(connection: Connection, facts: Facts) -> None:
    """Reads the run of the entry, or what prevented it."""
    entry = facts.entry
    if entry is None:
        facts.unsettled = await unsettled_range.contains(connection, facts.task.uid, facts.time)
        return
    if entry.run is not None:
        facts.run = await run.get(connection, entry.run, steps=False)
        facts.place = await due_work_claim.queue_place(connection, entry.run, AHEAD_MAX)
    if entry.outcome == "SKIPPED_OVERLAP":
        facts.live_run = await run.live_at(connection, facts.task.uid, entry.create_time)
    if entry.outcome == "COALESCED":
        facts.successor = await occurrence.following(connection, facts.task.uid, entry.last_instant or entry.time)
