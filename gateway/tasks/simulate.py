"""SimulateTask: computes the occurrences and run outcomes of a task in a time window."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import datetime, timedelta
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.interval_pb2 import Interval

from gateway.api.json_values import duration, timestamp, to_datetime
from gateway.api.resource_names import task_id
from gateway.api.violations import Problems, got, reroot
from gateway.authentication.caller import Caller
from gateway.clients import SchedulerClient
from gateway.definitions.run_policy import YEAR_SECONDS, check_policy
from gateway.tasks.conversion import to_task
from gateway.tasks.preview import END, FIRST, outside_years
from ordinaut.errors import NotFoundError
from ordinaut.internal.v1.scheduler_service_pb2 import SimulateRequest, ValidateScheduleRequest
from ordinaut.store import database_clock
from ordinaut.store.database import Database
from ordinaut.store.runs import run
from ordinaut.store.tasks import occurrence, task
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
    """Implements SimulateTask."""

    def __init__(self, database: Database, scheduler: SchedulerClient) -> None:
        self._database = database
        self._scheduler = scheduler

    async def simulate(
        self, request: SimulateTaskRequest, caller: Caller
    ) -> AsyncGenerator[SimulateTaskResponse, None]:
        """Streams the results of a simulation by the scheduler; closing the iterator cancels it.

        Raises:
            InvalidArgumentError: with all violations.
            NotFoundError: the task does not exist, or the caller may not see it.
            UnavailableError: SCHEDULER_UNAVAILABLE.
        """
        name = task_id(request.name) if request.WhichOneof("of") == "name" else ""
        if name:
            caller.require(READ, name)
        async with self._database.connection() as connection:
            now = await database_clock.database_now(connection)
        problems = Problems()
        simulation = _simulation_request(request, now, problems)
        if problems.violations and request.WhichOneof("of") == "task":
            await self._add_schedule_problems(problems, request, now)
        problems.check()
        if name:
            await self._add_stored(simulation, caller, name)
        if not simulation.run_durations:
            simulation.run_durations.append(DEFAULT_DURATION)
        async with aclosing(self._scheduler.simulate(simulation)) as responses:
            async for response in responses:
                problems = Problems()
                problems.extend(reroot(response.violations, "task.schedule"))
                problems.check()
                yield response.part

    async def _add_schedule_problems(self, problems: Problems, request: SimulateTaskRequest, now: datetime) -> None:
        """Adds the violations of the schedule to those of the other fields."""
        schedule = ValidateScheduleRequest(schedule=request.task.schedule, now=timestamp(now))
        problems.extend(reroot((await self._scheduler.validate(schedule)).violations, "task.schedule"))

    async def _add_stored(self, simulation: SimulateRequest, caller: Caller, name: str) -> None:
        """Adds the schedule, policy, skips and run durations of a stored task to the request."""
        async with self._database.connection() as connection:
            record = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if record is None:
                raise NotFoundError.of(f"tasks/{name}")
            skipped = await occurrence.skipped_within(
                connection,
                task=record.uid,
                start=to_datetime(simulation.start_time),
                end=to_datetime(simulation.end_time),
                limit=SKIPPED_MAX,
            )
            durations = await run.durations(connection, record.uid, LIVED_MAX)
        stored = to_task(record)
        simulation.stored, simulation.task_uid = True, str(UUID(stored.uid))
        simulation.schedule.CopyFrom(stored.schedule)
        simulation.run_policy.CopyFrom(stored.run_policy)
        simulation.skipped.extend(map(timestamp, skipped))
        if not simulation.run_durations:
            simulation.run_durations.extend(duration(max(span, SHORTEST)) for span in durations)


def _simulation_request(request: SimulateTaskRequest, now: datetime, problems: Problems) -> SimulateRequest:
    """Validates the request except for the schedule, and returns the scheduler's request."""
    if request.WhichOneof("of") is None:
        problems.add("task", "exactly one of `task` and `name` must be set", ErrorReason.FIELD_REQUIRED)
    check_policy(problems, request.task.run_policy, "task.run_policy")
    problems.between("fail_every", request.fail_every, 0, FAIL_EVERY_MAX)
    problems.between("run_durations", len(request.run_durations), 0, LISTED_MAX)
    for index, span in enumerate(request.run_durations[:LISTED_MAX]):
        problems.duration(f"run_durations[{index}]", span, YEAR_SECONDS)
    for field, intervals in (("outages", request.outages), ("pauses", request.pauses)):
        _check_intervals(problems, field, intervals)
    start, end = _window(problems, request, now)
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
    """Returns start and end of the time window, and adds their violations."""
    start = request.start_time if request.HasField("start_time") else timestamp(now)
    if not FIRST <= start.seconds < END:
        problems.add("start_time", outside_years(start))
        return start, start
    if not request.HasField("end_time"):
        return start, timestamp(to_datetime(start) + WINDOW_DEFAULT)
    longest = int(WINDOW_MAX.total_seconds() * 10**9)
    actual = request.end_time.ToJsonString()
    if not 0 < _nanos(request.end_time) - _nanos(start) <= longest:
        problems.add(
            "end_time", f"must be after {start.ToJsonString()} and at most {WINDOW_MAX.days} days later {got(actual)}"
        )
    return start, request.end_time


def _check_intervals(problems: Problems, field: str, intervals: Iterable[Interval]) -> None:
    listed = list(intervals)
    problems.between(field, len(listed), 0, LISTED_MAX)
    for index, interval in enumerate(listed[:LISTED_MAX]):
        if not (interval.HasField("start_time") and interval.HasField("end_time")):
            problems.add(f"{field}[{index}]", "requires start_time and end_time", ErrorReason.FIELD_REQUIRED)
        elif _nanos(interval.start_time) >= _nanos(interval.end_time):
            problems.add(f"{field}[{index}]", f"end_time must be after {interval.start_time.ToJsonString()}")


def _nanos(time: Timestamp) -> int:
    return int(time.seconds) * 10**9 + int(time.nanos)
