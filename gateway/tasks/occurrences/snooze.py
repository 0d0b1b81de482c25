"""SnoozeTask: the next occurrence starts later; it keeps its id and its scheduled time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from gateway.api.caller import Caller
from gateway.api.idempotency import Mutation
from gateway.api.json_values import moment_of
from gateway.api.violations import Problems
from gateway.definitions.run_policy import YEAR_SECONDS
from gateway.definitions.validation import TaskCheck
from gateway.tasks.conversion import to_task
from ordinaut.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, Violation
from ordinaut.store import cursor, task
from ordinaut.store.cursor import UpcomingInstant
from ordinaut.store.database import Database
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import SnoozeTaskRequest

PLANNING_TRIES = 40  # a cursor that was just written is planned within milliseconds
PLANNING_SECONDS = 0.05


class _UnplannedError(Exception):
    """The scheduler is about to compute the next occurrence."""


class Snooze:
    """SnoozeTask."""

    def __init__(self, database: Database, check: TaskCheck) -> None:
        self._database = database
        self._check = check

    async def snooze(self, request: SnoozeTaskRequest, caller: Caller, name: str) -> Task:
        """Postpones the next occurrence and answers with the task and its coming times.

        Raises:
            InvalidArgumentError: the moment is not between the present start and the following occurrence.
            FailedPreconditionError: TASK_STATE: nothing is coming that is to run.
        """
        mutation = Mutation(self._database, request, Task)
        if (answer := await mutation.earlier()) is not None:
            await self._check.foretell(answer)
            return answer
        _check(request)

        async def work(connection: Connection) -> Task:
            record = await task.lock(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if record is None:
                raise NotFoundError.of(request.name)
            if record.state != "ACTIVE":
                raise _nothing(f"{request.name} is {record.state}", record.state)
            await cursor.fire_if_due(connection, record.uid, snoozed_too=False)
            upcoming = await cursor.upcoming(connection, record.uid)
            await cursor.snooze(connection, record.uid, _moment(request, upcoming))
            return to_task(record)

        answer = await self._once_planned(lambda: mutation.once(work))
        await self._check.foretell(answer)
        return answer

    async def _once_planned(self, attempt: Callable[[], Awaitable[Task]]) -> Task:
        for _ in range(PLANNING_TRIES):
            try:
                return await attempt()
            except _UnplannedError:
                await asyncio.sleep(PLANNING_SECONDS)
        raise _nothing("the next occurrence is not planned yet", "ACTIVE")


def _check(request: SnoozeTaskRequest) -> None:
    problems = Problems()
    chosen = request.WhichOneof("to")
    if chosen is None:
        problems.add("delay", "delay or until_time is needed", ErrorReason.FIELD_REQUIRED)
    elif chosen == "delay":
        problems.duration("delay", request.delay, YEAR_SECONDS)
    problems.check()


def _moment(request: SnoozeTaskRequest, upcoming: UpcomingInstant | None) -> datetime:
    """When the next occurrence is to start."""
    if upcoming is None or upcoming.next_fire_time is None:
        raise _UnplannedError
    if upcoming.next_instant is None or upcoming.next_outcome or upcoming.recorded:
        raise _nothing("the next moment of the schedule is not to run", upcoming.next_outcome or "ENDED")
    present = upcoming.next_fire_time
    if request.WhichOneof("to") == "delay":
        field, moment = "delay", present + request.delay.ToTimedelta()
    else:
        field, moment = "until_time", moment_of(request.until_time)
    if moment <= max(present, upcoming.now):
        raise _refused(field, f"must be after {present.isoformat()}, when it starts now, and in the future")
    following = upcoming.interval_end
    if following is not None and moment >= following:
        raise _refused(field, f"must be before {following.isoformat()}, when the following occurrence is due")
    return moment


def _nothing(message: str, state: str) -> FailedPreconditionError:
    return FailedPreconditionError(ErrorReason.TASK_STATE, message, {"state": state})


def _refused(field: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError.of([Violation(field, message, ErrorReason.FIELD_INVALID)])
