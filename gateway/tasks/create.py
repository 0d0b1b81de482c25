"""CreateTask, BatchCreateTasks and ValidateTask: tasks are validated first, then stored in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf import json_format

from gateway.admission.door import Door
from gateway.api.batches import Batch
from gateway.api.errors import already_exists
from gateway.api.idempotency import Mutation
from gateway.api.json_values import fill_struct, parse
from gateway.api.violations import Problems, got
from gateway.authentication.caller import Caller
from gateway.definitions.validation import CheckedTask, TaskValidator, check_description
from gateway.tasks.conversion import description_of, to_task
from gateway.tasks.lifecycle_events import announce_tasks
from ordinaut.names import RESOURCE_ID, WITHOUT_TASK, split_name
from ordinaut.store.database import Database
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor, task
from ordinaut.store.tasks.task import TaskRecord
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
class _NewTask:
    """A valid task to be stored; without a name its uid becomes its name."""

    name: str | None
    task: Task
    checked: CheckedTask


class TaskCreate:
    """Implements CreateTask, BatchCreateTasks and ValidateTask."""

    def __init__(self, database: Database, validator: TaskValidator, door: Door) -> None:
        self._database = database
        self._validator = validator
        self._door = door

    async def create(self, request: CreateTaskRequest, caller: Caller) -> Task:
        """Stores a task with its cursor and event triggers.

        Raises:
            AlreadyExistsError: the name is taken.
            ResourceExhaustedError: QUOTA_EXCEEDED.
        """
        mutation = Mutation(self._database, request, Task)
        if (response := await mutation.stored_response()) is not None:
            return response
        new_task = await self._validated(request, caller)

        async def work(connection: Connection) -> Task:
            await self._require_room(connection, caller, [new_task])
            [record] = await _store(connection, caller, [new_task])
            return _to_response(record, new_task)

        return await mutation.execute(work)

    async def create_batch(self, request: BatchCreateTasksRequest, caller: Caller) -> BatchCreateTasksResponse:
        """Stores all tasks in one transaction, or raises one error with the violations of all of them."""
        mutation = Mutation(self._database, request, BatchCreateTasksResponse)
        if (response := await mutation.stored_response()) is not None:
            return response
        batch = Batch(request.requests)
        new_tasks = await batch.checked(lambda single: self._validated(single, caller))
        batch.refuse_duplicates("task_id", [new_task.name for new_task in new_tasks])

        async def work(connection: Connection) -> BatchCreateTasksResponse:
            await self._require_room(connection, caller, new_tasks)
            records = await _store(connection, caller, new_tasks)
            pairs = zip(records, new_tasks, strict=True)
            return BatchCreateTasksResponse(tasks=[_to_response(record, new_task) for record, new_task in pairs])

        return await mutation.execute(work)

    async def validate(self, request: ValidateTaskRequest, caller: Caller) -> Task:
        """Returns the task as it would be stored."""
        new_task = await self._validated(request, caller)
        response = Task()
        response.CopyFrom(new_task.task)
        response.name = f"tasks/{new_task.name}" if new_task.name else ""
        response.owner = caller.name
        response.ClearField("schedule")
        json_format.Parse(new_task.checked.definition.schedule, response.schedule)
        response.ClearField("pipeline")
        fill_struct(response.pipeline, parse(new_task.checked.definition.pipeline))
        response.upcoming.extend(new_task.checked.upcoming)
        response.explanation = new_task.checked.explanation
        response.warnings.extend(new_task.checked.warnings)
        response.fixes.extend(new_task.checked.fixes)
        return response

    async def _require_room(self, connection: Connection, caller: Caller, new_tasks: Sequence[_NewTask]) -> None:
        await self._door.quotas.require_room(
            connection, "tasks", project=caller.project, agent=caller.agent, added=len(new_tasks)
        )
        size = sum(len(new_task.checked.definition.pipeline) for new_task in new_tasks)
        await self._door.usage.require_bytes("pipeline_bytes", caller.project, size, connection)

    async def _validated(self, request: CreateTaskRequest | ValidateTaskRequest, caller: Caller) -> _NewTask:
        problems = Problems()
        name = _chosen_id(problems, request)
        caller.require(WRITE, name or WITHOUT_TASK)
        problems.not_writable("task", request.task)
        check_description(problems, request.task)
        checked = await self._validator.validate(
            request.task, problems, project=caller.project, name=name or "", owner=caller.name, rights=caller.scopes
        )
        return _NewTask(name, request.task, checked)


def _to_response(record: TaskRecord, new_task: _NewTask) -> Task:
    return to_task(record, new_task.checked.upcoming, new_task.checked.warnings, new_task.checked.explanation)


def _chosen_id(problems: Problems, request: CreateTaskRequest | ValidateTaskRequest) -> str | None:
    id_in_name = split_name(request.task.name, "tasks") if request.task.name else None
    chosen = request.task_id or id_in_name
    if request.task.name and (id_in_name is None or id_in_name != chosen):
        message = f"must be tasks/{chosen or '{task}'} or omitted {got(request.task.name)}"
        problems.add("task.name", message, ErrorReason.NAME_INVALID)
    if chosen:
        problems.identifier("task_id" if request.task_id else "task.name", chosen, RESOURCE_ID)
    return chosen


async def _store(connection: Connection, caller: Caller, new_tasks: Sequence[_NewTask]) -> list[TaskRecord]:
    """Inserts in the order of names, so that concurrent batches wait for each other instead of deadlocking."""
    order = sorted(range(len(new_tasks)), key=lambda index: new_tasks[index].name or "")
    stored = {index: await _insert(connection, caller, new_tasks[index]) for index in order}
    records = [stored[index] for index in range(len(new_tasks))]
    await announce_tasks(connection, "created", records, caller)
    return records


async def _insert(connection: Connection, caller: Caller, new_task: _NewTask) -> TaskRecord:
    checked = new_task.checked
    record = await task.create(
        connection,
        project=caller.project,
        name=new_task.name,
        owner=caller.name,
        description=description_of(new_task.task),
        definition=checked.definition,
    )
    if record is None:
        raise already_exists(f"tasks/{new_task.name}")
    await cursor.create(
        connection,
        project=caller.project,
        task=record.uid,
        last_instant=checked.now,
        event_triggers=checked.event_triggers,
        ends=not checked.has_time_triggers,
    )
    return record
