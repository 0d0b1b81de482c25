"""PreviewSchedule: the coming times of a schedule, whether or not it is a task's."""

from gateway.fields import Problems
from gateway.peers import Scheduler
from gateway.rerooting import reroot
from gateway.values import timestamp
from ordinaut.internal.v1.scheduler_service_pb2 import ValidateScheduleRequest
from ordinaut.store import due_work
from ordinaut.store.database import Database
from ordinaut.v1.task_service_pb2 import PreviewScheduleRequest, PreviewScheduleResponse

COUNT_DEFAULT = 5
COUNT_MAX = 1000


class SchedulePreview:
    """PreviewSchedule."""

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
        problems.between("count", request.count, 0, COUNT_MAX)
        problems.check()
        async with self._database.connection() as connection:
            now = await due_work.database_now(connection)
        question = ValidateScheduleRequest(
            schedule=request.schedule, now=timestamp(now), count=request.count or COUNT_DEFAULT
        )
        if request.HasField("after_time"):
            question.after_time.CopyFrom(request.after_time)
        answer = await self._scheduler.validate(question)
        problems.extend(reroot(answer.violations, "schedule"))
        problems.check()
        return PreviewScheduleResponse(
            occurrences=answer.upcoming, ends=len(answer.upcoming) < question.count, warnings=answer.warnings
        )
