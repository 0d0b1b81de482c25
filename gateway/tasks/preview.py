"""PreviewSchedule and ExplainSchedule: about schedules, whether or not they are a task's."""

from gateway.api.json_values import timestamp
from gateway.api.violations import Problems, reroot
from gateway.clients import Scheduler
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
# What schedules are computed for, in seconds since 1970.
FIRST, END = 0, 7_289_654_400  # 2201-01-01T00:00:00Z
LANGUAGES = ("en", "ro")


class SchedulePreview:
    """PreviewSchedule and ExplainSchedule."""

    def __init__(self, database: Database, scheduler: Scheduler) -> None:
        self._database = database
        self._scheduler = scheduler

    async def preview(self, request: PreviewScheduleRequest) -> PreviewScheduleResponse:
        """Asks the scheduler, as of the database's time.

        Raises:
            InvalidArgumentError: with every problem.
            UnavailableError: SCHEDULER_UNAVAILABLE.
        """
        problems = Problems()
        problems.between("count", request.count, 0, MAX_UPCOMING)
        if request.HasField("after_time") and not FIRST <= request.after_time.seconds < END:
            problems.add("after_time", "must lie in the years 1970 to 2200")
        problems.check()
        question = await self._question(request.schedule)
        question.count = request.count or COUNT_DEFAULT
        if request.HasField("after_time"):
            question.after_time.CopyFrom(request.after_time)
        answer = await self._ask(question, problems)
        return PreviewScheduleResponse(
            occurrences=answer.upcoming,
            ends=len(answer.upcoming) < question.count,
            explanation=answer.explanation,
            warnings=answer.warnings,
        )

    async def explain(self, request: ExplainScheduleRequest) -> ExplainScheduleResponse:
        """Has the scheduler put it into words; raises as `preview` does."""
        problems = Problems()
        if request.language and request.language not in LANGUAGES:
            problems.add("language", f"must be one of {', '.join(LANGUAGES)}")
        problems.check()
        question = await self._question(request.schedule)
        question.language, question.yearly = request.language, True
        answer = await self._ask(question, problems)
        return ExplainScheduleResponse(
            explanation=answer.explanation, warnings=answer.warnings, runs_per_year=answer.runs_per_year
        )

    async def _question(self, schedule: Schedule) -> ValidateScheduleRequest:
        async with self._database.connection() as connection:
            now = await database_clock.database_now(connection)
        return ValidateScheduleRequest(schedule=schedule, now=timestamp(now))

    async def _ask(self, question: ValidateScheduleRequest, problems: Problems) -> ValidateScheduleResponse:
        answer = await self._scheduler.validate(question)
        problems.extend(reroot(answer.violations, "schedule"))
        problems.check()
        return answer
