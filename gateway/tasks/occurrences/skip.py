"""SkipOccurrence: cancels one future occurrence before it is due."""

from datetime import UTC, datetime

from gateway.api.errors import changed_concurrently
from gateway.api.idempotency import Mutation
from gateway.api.json_values import timestamp
from gateway.api.violations import REASON_MAX, Problems, got
from gateway.authentication.caller import Caller
from gateway.clients import SchedulerClient
from gateway.tasks.conversion import to_task
from gateway.tasks.occurrences.ledger import to_occurrence
from ordinaut.clock import TICK
from ordinaut.errors import FailedPreconditionError, NotFoundError
from ordinaut.internal.v1.scheduler_service_pb2 import ValidateScheduleRequest
from ordinaut.limits import LAST_YEAR
from ordinaut.names import occurrence_id
from ordinaut.store import database_clock
from ordinaut.store.database import Database
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor, occurrence, task
from ordinaut.store.tasks.occurrence import OccurrenceRecord
from ordinaut.store.tasks.task import TaskRecord
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.task_service_pb2 import SkipOccurrenceRequest

FORMS = ("%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S.%fZ")
DEFAULT_REASON = "it was skipped"


class OccurrenceSkip:
    """Implements SkipOccurrence."""

    def __init__(self, database: Database, scheduler: SchedulerClient) -> None:
        self._database = database
        self._scheduler = scheduler

    async def skip(self, request: SkipOccurrenceRequest, caller: Caller, name: str) -> Occurrence:
        """Writes the SKIPPED row of a future occurrence, which prevents schedulers from firing it.

        Raises:
            NotFoundError: no future occurrence of the task has this id.
            FailedPreconditionError: TASK_STATE: the occurrence already has another outcome.
            UnavailableError: SCHEDULER_UNAVAILABLE.
        """
        mutation = Mutation(self._database, request, Occurrence)
        if (response := await mutation.stored_response()) is not None:
            return response
        problems = Problems()
        problems.text("reason", request.reason, REASON_MAX)
        instant = _instant(problems, request.occurrence)
        problems.check()
        async with self._database.connection() as connection:
            now = await database_clock.database_now(connection)
            current = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
        if current is None:
            raise NotFoundError.of(request.name)
        nominal, trigger = await self._planned(request, current, instant, now)

        async def work(connection: Connection) -> Occurrence:
            locked = await task.lock(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if locked is None:
                raise NotFoundError.of(request.name)
            if (locked.uid, locked.version) != (current.uid, current.version):
                raise changed_concurrently(request.name)
            await cursor.fire_if_due(connection, locked.uid, snoozed_too=False)
            reason = request.reason or DEFAULT_REASON
            record = await occurrence.skip(
                connection, task=locked.uid, instant=instant, nominal=nominal, trigger=trigger, reason=reason
            )
            return to_occurrence(_skipped(request, record), request.name)

        return await mutation.execute(work)

    async def _planned(
        self, request: SkipOccurrenceRequest, current: TaskRecord, instant: datetime, now: datetime
    ) -> tuple[str, str]:
        """Returns key (without its generation) and trigger of the occurrence at an instant of the schedule."""
        if instant <= now or instant.year > LAST_YEAR:
            raise _unknown(request)
        validation = ValidateScheduleRequest(
            schedule=to_task(current).schedule,
            now=timestamp(now),
            after_time=timestamp(instant - TICK),
            count=1,
            stored=True,
        )
        response = await self._scheduler.validate(validation)
        if [upcoming.id for upcoming in response.upcoming] != [request.occurrence]:
            raise _unknown(request)
        return response.keys[0], response.triggers[0]


def _instant(problems: Problems, text: str) -> datetime:
    for form in FORMS:
        try:
            instant = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        if instant > datetime.min.replace(tzinfo=UTC) and occurrence_id("", instant) == text:
            return instant
    message = f"must be the id of a future occurrence such as 20261025T003000Z {got(text)}"
    problems.add("occurrence", message, ErrorReason.NAME_INVALID)
    return datetime.max.replace(tzinfo=UTC)


def _skipped(request: SkipOccurrenceRequest, record: OccurrenceRecord | None) -> OccurrenceRecord:
    if record is None:
        raise _unknown(request)
    if record.outcome != "SKIPPED":
        message = f"{request.occurrence} must not have an outcome (is {record.outcome})"
        raise FailedPreconditionError(ErrorReason.TASK_STATE, message, {"state": record.outcome})
    return record


def _unknown(request: SkipOccurrenceRequest) -> NotFoundError:
    return NotFoundError.of(f"{request.name}/occurrences/{request.occurrence}")
