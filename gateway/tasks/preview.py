"""PreviewSchedule and ExplainSchedule: for any schedule, stored or not."""

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.api.json_values import timestamp
from gateway.api.violations import Problems, one_of, reroot
from gateway.clients import SchedulerClient
from ordinaut.internal.v1.scheduler_service_pb2 import ValidateScheduleRequest, ValidateScheduleResponse
from ordinaut.limits import MAX_UPCOMING
from ordinaut.store import database_clock
from ordinaut.store.database import Database
from ordinaut.v1.schedule_pb2 import Schedule
from ordinaut.v1.task_service_pb2 import (
    ExplainScheduleRequest,
    ExplainScheduleResponse,
    PreviewScheduleRequest,
    PreviewScheduleResponse,
)

COUNT_DEFAULT = 5
COUNT_MAX = 1000
# The range of schedules, in seconds since 1970.
FIRST, END = 0, 7_289_654_400  # 2201-01-01T00:00:00Z
LANGUAGES = ("en", "ro")


def outside_years(time: Timestamp) -> str:
    """The message for a time outside the range of schedules."""
    return f"must be in the years 1970 to 2200 (got {time.ToJsonString()})"


class SchedulePreview:
    """Implements PreviewSchedule and ExplainSchedule."""

    def __init__(self, database: Database, scheduler: SchedulerClient) -> None:
        self._database = database
        self._scheduler = scheduler

    async def preview(self, request: PreviewScheduleRequest) -> PreviewScheduleResponse:
        """Returns the next occurrences after a time, by default the current time of the database.

        Raises:
            InvalidArgumentError: with all violations.
            UnavailableError: SCHEDULER_UNAVAILABLE.
        """
        problems = Problems()
        problems.between("count", request.count, 0, MAX_UPCOMING)
        if request.HasField("after_time") and not FIRST <= request.after_time.seconds < END:
            problems.add("after_time", outside_years(request.after_time))
        problems.check()
        validation = await self._request(request.schedule)
        validation.count = request.count or COUNT_DEFAULT
        if request.HasField("after_time"):
            validation.after_time.CopyFrom(request.after_time)
        response = await self._validate(validation, problems)
        return PreviewScheduleResponse(
            occurrences=response.upcoming,
            ends=len(response.upcoming) < validation.count,
            explanation=response.explanation,
            warnings=response.warnings,
        )

    async def explain(self, request: ExplainScheduleRequest) -> ExplainScheduleResponse:
        """Returns the schedule in words; raises as `preview`."""
        problems = Problems()
        if request.language and request.language not in LANGUAGES:
            problems.add("language", one_of(LANGUAGES, request.language))
        problems.check()
        validation = await self._request(request.schedule)
        validation.language, validation.yearly = request.language, True
        response = await self._validate(validation, problems)
        return ExplainScheduleResponse(
            explanation=response.explanation, warnings=response.warnings, runs_per_year=response.runs_per_year
        )

    async def _request(self, schedule: Schedule) -> ValidateScheduleRequest:
        async with self._database.connection() as connection:
            now = await database_clock.database_now(connection)
        return ValidateScheduleRequest(schedule=schedule, now=timestamp(now))

    async def _validate(self, validation: ValidateScheduleRequest, problems: Problems) -> ValidateScheduleResponse:
        response = await self._scheduler.validate(validation)
        problems.extend(reroot(response.violations, "schedule"))
        problems.check()
        return response
