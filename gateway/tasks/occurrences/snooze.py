"""SnoozeTask: postpones the start of the next occurrence, which keeps its id and its scheduled time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from gateway.api.errors import wrong_state
from gateway.api.idempotency import Mutation
from gateway.api.json_values import to_datetime
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from gateway.definitions.run_policy import YEAR_SECONDS
from gateway.definitions.validation import TaskValidator
from gateway.tasks.conversion import to_task
from ordinaut.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, Violation
from ordinaut.store.database import Database
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor, task
from ordinaut.store.tasks.cursor import UpcomingInstant
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import SnoozeTaskRequest

PLANNING_TRIES = 40  # schedulers plan a new cursor within milliseconds
PLANNING_SECONDS = 0.05


class _UnplannedError(Exception):
    """The scheduler has not computed the next occurrence yet."""


class Snooze:
    """Implements SnoozeTask."""

    def __init__(self, database: Database, validator: TaskValidator) -> None:
        self._database = database
        self._validator = validator

    async def snooze(self, request: SnoozeTaskRequest, caller: Caller, name: str) -> Task:
        """Postpones the next occurrence and returns the task with its next times.

        Raises:
            InvalidArgumentError: the new time is not between the current start time and the occurrence after it.
            FailedPreconditionError: TASK_STATE: the task is not ACTIVE, or its next occurrence will not run.
        """
        mutation = Mutation(self._database, request, Task)
        if (response := await mutation.stored_response()) is not None:
            await self._validator.add_upcoming(response)
            return response
        _check(request)

        async def work(connection: Connection) -> Task:
            record = await task.lock(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if record is None:
                raise NotFoundError.of(request.name)
            if record.state != "ACTIVE":
                raise wrong_state(request.name, record.state, "ACTIVE")
            await cursor.fire_if_due(connection, record.uid, snoozed_too=False)
            upcoming = await cursor.upcoming(connection, record.uid)
            start = _new_start(request, upcoming)
            mutation.describe("start_time", start.isoformat())
            await cursor.snooze(connection, record.uid, start)
            return to_task(record)

        response = await self._once_planned(lambda: mutation.execute(work))
        await self._validator.add_upcoming(response)
        return response

    async def _once_planned(self, attempt: Callable[[], Awaitable[Task]]) -> Task:
        for _ in range(PLANNING_TRIES):
            try:
                return await attempt()
            except _UnplannedError:
                await asyncio.sleep(PLANNING_SECONDS)
        raise _not_snoozable("the scheduler has not planned the next occurrence yet; retry", "ACTIVE")


def _check(request: SnoozeTaskRequest) -> None:
    problems = Problems()
    chosen = request.WhichOneof("to")
    if chosen is None:
        problems.add("delay", "exactly one of `delay` and `until_time` must be set", ErrorReason.FIELD_REQUIRED)
    elif chosen == "delay":
        problems.duration("delay", request.delay, YEAR_SECONDS)
    problems.check()


def _new_start(request: SnoozeTaskRequest, upcoming: UpcomingInstant | None) -> datetime:
    """Returns the new start time of the next occurrence."""
    if upcoming is None or upcoming.next_fire_time is None:
        raise _UnplannedError
    if upcoming.next_instant is None or upcoming.next_outcome or upcoming.recorded:
        raise _not_snoozable("the next occurrence of the task will not run", upcoming.next_outcome or "ENDED")
    present = upcoming.next_fire_time
    if request.WhichOneof("to") == "delay":
        field, start = "delay", present + request.delay.ToTimedelta()
    else:
        field, start = "until_time", to_datetime(request.until_time)
    if start <= max(present, upcoming.now):
        raise _refused(
            field, f"must result in a time after {present.isoformat()}, the current start time, and in the future"
        )
    following = upcoming.interval_end
    if following is not None and start >= following:
        raise _refused(
            field, f"must result in a time before {following.isoformat()}, when the next but one occurrence is due"
        )
    return start


def _not_snoozable(message: str, state: str) -> FailedPreconditionError:
    return FailedPreconditionError(ErrorReason.TASK_STATE, message, {"state": state})


def _refused(field: str, message: str) -> InvalidArgumentError:
    return InvalidArgumentError.of([Violation(field, message, ErrorReason.FIELD_INVALID)])
