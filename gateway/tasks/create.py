"""New tasks, one or many: checked without a transaction, stored together or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import json_format

from gateway.api.batches import Batch
from gateway.api.idempotency import Mutation
from gateway.api.json_values import fill_struct, parse
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from gateway.definitions.validation import CheckedTask, TaskCheck, check_description
from gateway.tasks.conversion import description_of, to_task
from gateway.tasks.lifecycle_events import announce_tasks
from ordinaut.errors import AlreadyExistsError
from ordinaut.names import RESOURCE_ID, split_name
from ordinaut.store import cursor, task
from ordinaut.store.database import Database
from ordinaut.store.sql import Connection
from ordinaut.store.task import TaskRecord
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    BatchCreateTasksResponse,
    CreateTaskRequest,
    ValidateTaskRequest,
)

WRITE = "tasks:write"


@dataclass(frozen=True, slots=True)
class _Wish:
    """A task that may be stored; without a name it is named by its uid."""

    name: str | None
    task: Task
    checked: CheckedTask


class TaskCreate:
    """CreateTask, BatchCreateTasks and ValidateTask."""

    def __init__(self, database: Database, check: TaskCheck) -> None:
        self._database = database
        self._check = check

    async def create(self, request: CreateTaskRequest, caller: Caller) -> Task:
        """Stores one task with its cursor and event triggers.

        Raises:
            AlreadyExistsError: the name is taken.
        """
        mutation = Mutation(self._database, request, Task)
        if (answer := await mutation.earlier()) is not None:
            return answer
        wish = await self._wish(request, caller)

        async def work(connection: Connection) -> Task:
            [record] = await _store(connection, caller, [wish])
            return _answer(record, wish)

        return await mutation.once(work)

    async def create_batch(self, request: BatchCreateTasksRequest, caller: Caller) -> BatchCreateTasksResponse:
        """Stores all of them in one transaction, or names everything that is wrong with any of them."""
        mutation = Mutation(self._database, request, BatchCreateTasksResponse)
        if (answer := await mutation.earlier()) is not None:
            return answer
        batch = Batch(request.requests)
        wishes = await batch.checked(lambda wanted: self._wish(wanted, caller))
        batch.refuse_twins("task_id", [wish.name for wish in wishes])

        async def work(connection: Connection) -> BatchCreateTasksResponse:
            records = await _store(connection, caller, wishes)
            pairs = zip(records, wishes, strict=True)
            return BatchCreateTasksResponse(tasks=[_answer(record, wish) for record, wish in pairs])

        return await mutation.once(work)

    async def validate(self, request: ValidateTaskRequest, caller: Caller) -> Task:
        """The task as it would be stored."""
        wish = await self._wish(request, caller)
        answer = Task()
        answer.CopyFrom(wish.task)
        answer.name = f"tasks/{wish.name}" if wish.name else ""
        answer.owner = caller.name
        answer.ClearField("schedule")
        json_format.Parse(wish.checked.definition.schedule, answer.schedule)
        answer.ClearField("pipeline")
        fill_struct(answer.pipeline, parse(wish.checked.definition.pipeline))
        answer.upcoming.extend(wish.checked.upcoming)
        answer.explanation = wish.checked.explanation
        answer.warnings.extend(wish.checked.warnings)
        answer.fixes.extend(wish.checked.fixes)
        return answer

    async def _wish(self, request: CreateTaskRequest | ValidateTaskRequest, caller: Caller) -> _Wish:
        problems = Problems()
        name = _chosen_id(problems, request)
        if name is not None:
            caller.require(WRITE, name)
        problems.not_writable("task", request.task)
        check_description(problems, request.task)
        checked = await self._check.check(
            request.task, problems, project=caller.project, name=name or "", owner=caller.name, rights=caller.scopes
        )
        return _Wish(name, request.task, checked)


def _answer(record: TaskRecord, wish: _Wish) -> Task:
    return to_task(record, wish.checked.upcoming, wish.checked.warnings, wish.checked.explanation)


def _chosen_id(problems: Problems, request: CreateTaskRequest | ValidateTaskRequest) -> str | None:
    named = split_name(request.task.name, "tasks") if request.task.name else None
    chosen = request.task_id or named
    if request.task.name and (named is None or named != chosen):
        problems.add("task.name", f"must be tasks/{chosen or '{task}'} or left out", ErrorReason.NAME_INVALID)
    if chosen and not RESOURCE_ID.fullmatch(chosen):
        field = "task_id" if request.task_id else "task.name"
        problems.add(field, f"must match {RESOURCE_ID.pattern}", ErrorReason.NAME_INVALID)
    return chosen


async def _store(connection: Connection, caller: Caller, wishes: Sequence[_Wish]) -> list[TaskRecord]:
    """Inserts in the order of names, so that batches that meet wait for each other instead of deadlocking."""
    order = sorted(range(len(wishes)), key=lambda place: wishes[place].name or "")
    stored = {place: await _insert(connection, caller, wishes[place]) for place in order}
    records = [stored[place] for place in range(len(wishes))]
    await announce_tasks(connection, "created", records, caller)
    return records


async def _insert(connection: Connection, caller: Caller, wish: _Wish) -> TaskRecord:
    checked = wish.checked
    record = await task.create(
        connection,
        project=caller.project,
        name=wish.name,
        owner=caller.name,
        description=description_of(wish.task),
        definition=checked.definition,
    )
    if record is None:
        name = f"tasks/{wish.name}"
        raise AlreadyExistsError(ErrorReason.RESOURCE_EXISTS, f"{name} exists", {"resource": name})
    await cursor.create(
        connection,
        project=caller.project,
        task=record.uid,
        last_instant=checked.now,
        event_triggers=checked.event_triggers,
        ends=not checked.has_time_triggers,
    )
    return record
