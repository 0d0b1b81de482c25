"""The gRPC service that validates, previews, explains and simulates schedules."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from ordinaut.clock import EPOCH, TICK
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.internal.v1 import scheduler_service_pb2_grpc
from ordinaut.internal.v1.scheduler_service_pb2 import (
    ListInstantsRequest,
    ListInstantsResponse,
    LocateMomentRequest,
    LocateMomentResponse,
    SimulateRequest,
    SimulateResponse,
    ValidateScheduleRequest,
    ValidateScheduleResponse,
)
from ordinaut.limits import FIRST_YEAR, LAST_YEAR, MAX_UPCOMING
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.schedule_pb2 import Schedule, Upcoming
from scheduler.description.sentence import DEFAULT, LANGUAGES, explanation
from scheduler.firing.time_range import oldest_first
from scheduler.schedules import nearby_instants
from scheduler.schedules.nearby_instants import runs_per_year
from scheduler.schedules.schedule import CompiledSchedule, Instant
from scheduler.schedules.upcoming import to_upcoming
from scheduler.simulation.simulate import Simulations
from scheduler.triggers.localtime.nearby_change import change_around
from scheduler.triggers.problem import ScheduleError
from scheduler.validation.schedule import compiled, validate

MAX_INSTANTS = 10_000


class SchedulerService(scheduler_service_pb2_grpc.SchedulerServiceServicer):
    """Answers from the schedule in the request alone; needs no database."""

    def __init__(self) -> None:
        self._simulations = Simulations()

    async def ValidateSchedule(  # noqa: N802 - gRPC's name
        self, request: ValidateScheduleRequest, context: Any
    ) -> ValidateScheduleResponse:
        """Checks and completes a schedule and computes its next times, off the event loop.

        Raises:
            InvalidArgumentError: `now` is missing, a time is out of range, `count` is over 1000, or the language is
                unknown.
        """
        del context
        if not request.HasField("now"):
            raise _invalid("now", "now is required: the database's time")
        now = _time(request.now, "now")
        after = _time(request.after_time, "after_time") if request.HasField("after_time") else now
        if not 0 <= request.count <= MAX_UPCOMING:
            raise _invalid("count", f"count must be 0 to {MAX_UPCOMING} (got {request.count})")
        if (request.language or DEFAULT) not in LANGUAGES:
            raise _invalid("language", f'expected one of {", ".join(LANGUAGES)} (got "{request.language[:40]}")')
        return await asyncio.to_thread(_answer, request, now, after)

    async def LocateMoment(  # noqa: N802 - gRPC's name
        self, request: LocateMomentRequest, context: Any
    ) -> LocateMomentResponse:
        """Returns the instants around a time, off the event loop, except those that are too costly to compute.

        Raises:
            InvalidArgumentError: the time is out of range.
        """
        del context
        return await asyncio.to_thread(_located, request, _time(request.time, "time"))

    async def Simulate(  # noqa: N802 - gRPC's name
        self, request: SimulateRequest, context: Any
    ) -> AsyncIterator[SimulateResponse]:
        """Simulates the occurrences of a task, off the event loop; the gateway has checked all but the schedule."""
        del context
        async with aclosing(self._simulations.answers(request)) as answers:
            async for answer in answers:
                yield answer

    async def ListInstants(  # noqa: N802 - gRPC's name
        self, request: ListInstantsRequest, context: Any
    ) -> ListInstantsResponse:
        """Lists the instants in a time range, off the event loop.

        Raises:
            InvalidArgumentError: a time is out of range, or `count` is not 1 to 10 000.
        """
        del context
        after, until = _time(request.after_time, "after_time"), _time(request.until_time, "until_time")
        if not 1 <= request.count <= MAX_INSTANTS:
            raise _invalid("count", f"count must be 1 to {MAX_INSTANTS} (got {request.count})")
        return await asyncio.to_thread(_listed, request, after, until)


def _answer(request: ValidateScheduleRequest, now: datetime, after: datetime) -> ValidateScheduleResponse:
    before = request.before if request.HasField("before") else None
    checked = validate(request.schedule, now, request.stored, since=min(now, after), before=before)
    response = ValidateScheduleResponse(
        violations=checked.violations, schedule=checked.schedule, warnings=checked.warnings
    )
    if checked.violations:
        return response
    try:
        task = UUID(request.task_uid) if request.task_uid else None
        for instant in _instants(compiled(checked.schedule), after, request.count):
            response.upcoming.append(to_upcoming(instant, compiled(checked.schedule), task))
            response.keys.append(instant.key_nominal)
            response.triggers.append(instant.trigger_id)
        response.explanation = explanation(checked.schedule, now, request.language or DEFAULT)
        if request.yearly:
            response.runs_per_year = runs_per_year(compiled(checked.schedule), after)
    except ScheduleError as error:  # at a later instant than those that validation computes
        response.violations.add(field="triggers", message=error.message, reason=error.reason)
    return response


def _listed(request: ListInstantsRequest, after: datetime, until: datetime) -> ListInstantsResponse:
    response = ListInstantsResponse()
    try:
        page = oldest_first(compiled(request.schedule), after, until, request.count)
    except ScheduleError as error:
        response.violations.add(field="triggers", message=error.message, reason=error.reason)
        return response
    response.instants_us.extend((due.instant.time - EPOCH) // TICK for due in page.due)
    response.keys.extend(due.instant.key_nominal for due in page.due)
    response.more = not page.complete
    return response


def _located(request: LocateMomentRequest, time: datetime) -> LocateMomentResponse:
    plan, task = compiled(request.schedule), UUID(request.task_uid)
    answer = LocateMomentResponse()
    _add_clock_change(answer, plan, time)
    with suppress(ScheduleError):
        if (at := nearby_instants.at(plan, time)) is not None:
            answer.at.CopyFrom(to_upcoming(at, plan, task))
            answer.excluded = at.excluded
        if (after := plan.next(time)[0]) is not None:
            answer.after.CopyFrom(to_upcoming(after, plan, task))
        if (before := nearby_instants.before(plan, time)) is not None:
            answer.before.CopyFrom(to_upcoming(before, plan, task))
            answer.before_time.FromDatetime(before.time)
    return answer


def _add_clock_change(answer: LocateMomentResponse, plan: CompiledSchedule, time: datetime) -> None:
    for where in plan.zones:
        if (change := change_around(time, where)) is not None:
            answer.clock_change.time_zone = where.key
            answer.clock_change.before = change.before.isoformat()
            answer.clock_change.after = change.after.isoformat()
            return


def upcoming(schedule: Schedule, after: datetime, count: int, task: UUID | None = None) -> list[Upcoming]:
    """At most `count` next occurrences of a completed schedule strictly after an instant, without excluded ones.

    Raises:
        ScheduleError: SCHEDULE_TOO_COSTLY.
    """
    plan = compiled(schedule)
    return [to_upcoming(instant, plan, task) for instant in _instants(plan, after, count)]


def _instants(plan: CompiledSchedule, after: datetime, count: int) -> Iterator[Instant]:
    state: dict[str, Any] = {}
    for _ in range(count):
        instant, state = plan.next_open(after, state)
        if instant is None:
            return
        yield instant
        after = instant.time


def _time(timestamp: Timestamp, field: str) -> datetime:
    try:
        time = timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        time = datetime.min.replace(tzinfo=UTC)
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise _invalid(field, f"{field} must be in the years {FIRST_YEAR} to {LAST_YEAR}")
    return time


def _invalid(field: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError.of([Violation(field, message, ErrorReason.FIELD_INVALID)])
