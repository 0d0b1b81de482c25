"""SkipOccurrence: one coming occurrence is taken away before it is due."""

from datetime import UTC, datetime

from gateway.api.caller import Caller
from gateway.api.idempotency import Mutation
from gateway.api.json_values import timestamp
from gateway.api.violations import REASON_MAX, Problems
from gateway.clients import Scheduler
from gateway.tasks.conversion import to_task
from gateway.tasks.occurrences.list import to_occurrence
from ordinaut.clock import TICK
from ordinaut.errors import AbortedError, FailedPreconditionError, NotFoundError
from ordinaut.internal.v1.scheduler_service_pb2 import ValidateScheduleRequest
from ordinaut.limits import LAST_YEAR
from ordinaut.names import occurrence_id
from ordinaut.store import cursor, database_clock, occurrence, task
from ordinaut.store.database import Database
from ordinaut.store.sql import Connection
from ordinaut.store.task import TaskRecord
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.task_service_pb2 import SkipOccurrenceRequest

FORMS = ("%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S.%fZ")
DEFAULT_REASON = "it was skipped"


class OccurrenceSkip:
    """SkipOccurrence."""

    def __init__(self, database: Database, scheduler: Scheduler) -> None:
        self._database = database
        self._scheduler = scheduler

    async def skip(self, request: SkipOccurrenceRequest, caller: Caller, name: str) -> Occurrence:
        """Writes the SKIPPED row of a coming occurrence, which keeps the clock from firing it.

        Raises:
            NotFoundError: the task has no coming occurrence of that id.
            FailedPreconditionError: TASK_STATE: it has another outcome already.
            UnavailableError: SCHEDULER_UNAVAILABLE.
        """
        mutation = Mutation(self._database, request, Occurrence)
        if (answer := await mutation.earlier()) is not None:
            return answer
        problems = Problems()
        problems.text("reason", request.reason, REASON_MAX)
        instant = _instant(problems, request.occurrence)
        problems.check()
        async with self._database.connection() as connection:
            now = await database_clock.database_now(connection)
            read = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
        if read is None:
            raise NotFoundError.of(request.name)
        nominal, trigger = await self._planned(request, read, instant, now)

        async def work(connection: Connection) -> Occurrence:
            locked = await task.lock(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if locked is None:
                raise NotFoundError.of(request.name)
            if (locked.uid, locked.version) != (read.uid, read.version):
                raise AbortedError(ErrorReason.ETAG_MISMATCH, f"{request.name} has changed meanwhile; ask again")
            await cursor.fire_if_due(connection, locked.uid, snoozed_too=False)
            reason = request.reason or DEFAULT_REASON
            found = await occurrence.skip(
                connection, task=locked.uid, instant=instant, nominal=nominal, trigger=trigger, reason=reason
            )
            if found is None:
                raise _unknown(request)
            if found.outcome != "SKIPPED":
                raise FailedPreconditionError(
                    ErrorReason.TASK_STATE, f"{request.occurrence} is {found.outcome}", {"state": found.outcome}
                )
            return to_occurrence(found, request.name)

        return await mutation.once(work)

    async def _planned(
        self, request: SkipOccurrenceRequest, read: TaskRecord, instant: datetime, now: datetime
    ) -> tuple[str, str]:
        """The key without its generation, and the trigger, of the occurrence that the schedule has at the instant."""
        if instant <= now or instant.year > LAST_YEAR:
            raise _unknown(request)
        question = ValidateScheduleRequest(
            schedule=to_task(read).schedule,
            now=timestamp(now),
            after_time=timestamp(instant - TICK),
            count=1,
            stored=True,
        )
        answer = await self._scheduler.validate(question)
        if [coming.id for coming in answer.upcoming] != [request.occurrence]:
            raise _unknown(request)
        return answer.keys[0], answer.triggers[0]


def _instant(problems: Problems, written: str) -> datetime:
    for form in FORMS:
        try:
            instant = datetime.strptime(written, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if instant > datetime.min.replace(tzinfo=UTC) and occurrence_id("", instant) == written:
            return instant
    problems.add("occurrence", "must be the id of a coming occurrence: 20261025T003000Z", ErrorReason.NAME_INVALID)
    return datetime.max.replace(tzinfo=UTC)


def _unknown(request: SkipOccurrenceRequest) -> NotFoundError:
    return NotFoundError.of(f"{request.name}/occurrences/{request.occurrence}")
