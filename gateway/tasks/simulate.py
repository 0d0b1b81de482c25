"""SimulateTask: a task lives through a window of time that takes no time."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import datetime, timedelta
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval

from gateway.api.caller import Caller
from gateway.api.json_values import duration, moment_of, timestamp
from gateway.api.resource_names import task_id
from gateway.api.violations import Problems, reroot
from gateway.clients import Scheduler
from gateway.definitions.run_policy import YEAR_SECONDS, check_policy
from gateway.tasks.conversion import to_task
from gateway.tasks.preview import END, FIRST
from ordinaut.errors import NotFoundError
from ordinaut.internal.v1.scheduler_service_pb2 import SimulateRequest
from ordinaut.store import database_clock, occurrence, run, task
from ordinaut.store.database import Database
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_service_pb2 import SimulateTaskRequest, SimulateTaskResponse

READ = "tasks:read"
WINDOW_DEFAULT = timedelta(days=7)
WINDOW_MAX = timedelta(days=366)
DEFAULT_DURATION = Duration(seconds=1)
LISTED_MAX = 1000
LIVED_MAX = 100
SHORTEST = timedelta(milliseconds=1)
FAIL_EVERY_MAX = 1_000_000
SKIPPED_MAX = 10_000


class TaskSimulation:
    """SimulateTask."""

    def __init__(self, database: Database, scheduler: Scheduler) -> None:
        self._database = database
        self._scheduler = scheduler

    async def simulate(
        self, request: SimulateTaskRequest, caller: Caller
    ) -> AsyncGenerator[SimulateTaskResponse, None]:
        """Has a scheduler simulate the task, for as long as the caller listens.

        Raises:
            InvalidArgumentError: with every problem.
            NotFoundError: there is no such task that the caller may see.
            UnavailableError: SCHEDULER_UNAVAILABLE.
        """
        name = task_id(request.name) if request.WhichOneof("of") == "name" else ""
        if name:
            caller.require(READ, name)
        async with self._database.connection() as connection:
            now = await database_clock.database_now(connection)
        question = _question(request, now)
        if name:
            await self._add_stored(question, caller, name)
        if not question.run_durations:
            question.run_durations.append(DEFAULT_DURATION)
        async with aclosing(self._scheduler.simulate(question)) as answers:
            async for answer in answers:
                problems = Problems()
                problems.extend(reroot(answer.violations, "task.schedule"))
                problems.check()
                yield answer.part

    async def _add_stored(self, question: SimulateRequest, caller: Caller, name: str) -> None:
        """Puts an existing task into the question."""
        async with self._database.connection() as connection:
            record = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if record is None:
                raise NotFoundError.of(f"tasks/{name}")
            skipped = await occurrence.skipped_within(
                connection,
                task=record.uid,
                start=moment_of(question.start_time),
                end=moment_of(question.end_time),
                limit=SKIPPED_MAX,
            )
            took = await run.durations(connection, record.uid, LIVED_MAX)
        stored = to_task(record)
        question.stored, question.task_uid = True, str(UUID(stored.uid))
        question.schedule.CopyFrom(stored.schedule)
        question.run_policy.CopyFrom(stored.run_policy)
        question.skipped.extend(map(timestamp, skipped))
        if not question.run_durations:
            question.run_durations.extend(duration(max(span, SHORTEST)) for span in took)


def _question(request: SimulateTaskRequest, now: datetime) -> SimulateRequest:
    """The request with the window it means, checked but for the schedule."""
    problems = Problems()
    if request.WhichOneof("of") is None:
        problems.add("task", "task or name is needed", ErrorReason.FIELD_REQUIRED)
    check_policy(problems, request.task.run_policy, "task.run_policy")
    problems.between("fail_every", request.fail_every, 0, FAIL_EVERY_MAX)
    problems.between("run_durations", len(request.run_durations), 0, LISTED_MAX)
    for index, span in enumerate(request.run_durations[:LISTED_MAX]):
        problems.duration(f"run_durations[{index}]", span, YEAR_SECONDS)
    for field, intervals in (("outages", request.outages), ("pauses", request.pauses)):
        _check_intervals(problems, field, intervals)
    start, end = _window(problems, request, now)
    problems.check()
    return SimulateRequest(
        schedule=request.task.schedule,
        run_policy=request.task.run_policy,
        start_time=start,
        end_time=end,
        run_durations=request.run_durations,
        fail_every=request.fail_every,
        outages=request.outages,
        pauses=request.pauses,
    )


def _window(problems: Problems, request: SimulateTaskRequest, now: datetime) -> tuple[Timestamp, Timestamp]:
    """From where to where; what cannot be is added to the problems."""
    start = request.start_time if request.HasField("start_time") else timestamp(now)
    if not FIRST <= start.seconds < END:
        problems.add("start_time", "must lie in the years 1970 to 2200")
        return start, start
    if not request.HasField("end_time"):
        return start, timestamp(moment_of(start) + WINDOW_DEFAULT)
    longest = int(WINDOW_MAX.total_seconds() * 10**9)
    if not 0 < _nanos(request.end_time) - _nanos(start) <= longest:
        problems.add("end_time", f"must be after the start of the window and at most {WINDOW_MAX.days} days later")
    return start, request.end_time


def _check_intervals(problems: Problems, field: str, intervals: Iterable[Interval]) -> None:
    given = list(intervals)
    problems.between(field, len(given), 0, LISTED_MAX)
    for index, interval in enumerate(given[:LISTED_MAX]):
        if not (interval.HasField("start_time") and interval.HasField("end_time")):
            problems.add(f"{field}[{index}]", "needs start_time and end_time", ErrorReason.FIELD_REQUIRED)
        elif _nanos(interval.start_time) >= _nanos(interval.end_time):
            problems.add(f"{field}[{index}]", "must end after it begins")


def _nanos(stamp: Timestamp) -> int:
    return int(stamp.seconds) * 10**9 + int(stamp.nanos)
