# ruff: noqa: N802 - methods are named by the contract
"""TaskService: tasks are visible to their owner and admins, and do not exist for other callers."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.protobuf.empty_pb2 import Empty

from gateway.admission.door import Door
from gateway.api.errors import wrong_state
from gateway.api.field_masks import require_etag
from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.ordering import parse_order
from gateway.api.pagination import PageTokens, page_size, read_page
from gateway.api.resource_names import task_id
from gateway.api.violations import REASON_MAX, Problems
from gateway.api.visibility import within_globs
from gateway.authentication.caller import Caller, current_caller
from gateway.definitions.validation import TaskValidator
from gateway.runs.run_task import ManualRun
from gateway.tasks.backfills.create import BackfillCreate
from gateway.tasks.backfills.service import Backfills
from gateway.tasks.conversion import to_task
from gateway.tasks.create import TaskCreate
from gateway.tasks.draft import TaskDraft
from gateway.tasks.lifecycle_events import announce_task
from gateway.tasks.occurrences.explanation.explain import Explanation
from gateway.tasks.occurrences.ledger import Occurrences
from gateway.tasks.occurrences.skip import OccurrenceSkip
from gateway.tasks.occurrences.snooze import Snooze
from gateway.tasks.preview import SchedulePreview
from gateway.tasks.simulate import TaskSimulation
from gateway.tasks.update import TaskUpdate
from ordinaut.errors import NotFoundError
from ordinaut.rpc.interceptor import Context
from ordinaut.store.database import Database
from ordinaut.store.hints import CANCEL, OUTBOX, RUN, SCHEDULE, Hints
from ordinaut.store.queue import due_work_finish
from ordinaut.store.selection import Selection
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import backfill, cursor, task
from ordinaut.store.tasks.cursor import DisabledTrigger
from ordinaut.store.tasks.task import TaskRecord
from ordinaut.v1.backfill_pb2 import Backfill
from ordinaut.v1.explanation_pb2 import OccurrenceExplanation
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    BatchCreateTasksResponse,
    CancelBackfillRequest,
    CreateBackfillRequest,
    CreateTaskRequest,
    DeleteTaskRequest,
    DraftTaskRequest,
    DraftTaskResponse,
    ExplainOccurrenceRequest,
    ExplainScheduleRequest,
    ExplainScheduleResponse,
    GetBackfillRequest,
    GetTaskRequest,
    GetTaskSchemaRequest,
    GetTaskSchemaResponse,
    ListBackfillsRequest,
    ListBackfillsResponse,
    ListOccurrencesRequest,
    ListOccurrencesResponse,
    ListTasksRequest,
    ListTasksResponse,
    PauseTaskRequest,
    PreviewScheduleRequest,
    PreviewScheduleResponse,
    ResumeTaskRequest,
    RunTaskRequest,
    SimulateTaskRequest,
    SimulateTaskResponse,
    SkipOccurrenceRequest,
    SnoozeTaskRequest,
    UpdateTaskRequest,
    ValidateTaskRequest,
)
from ordinaut.v1.task_service_pb2_grpc import TaskServiceServicer

WRITE = "tasks:write"
READ = "tasks:read"
START = "tasks:run"


class Tasks(TaskServiceServicer):
    """Implements TaskService."""

    def __init__(
        self,
        database: Database,
        hints: Hints,
        page_tokens: PageTokens,
        validator: TaskValidator,
        preview: SchedulePreview,
        simulation: TaskSimulation,
        explanation: Explanation,
        manual_run: ManualRun,
        skip: OccurrenceSkip,
        create_backfill: BackfillCreate,
        door: Door,
    ) -> None:
        self._database = database
        self._hints = hints
        self._page_tokens = page_tokens
        self._validator = validator
        self._create = TaskCreate(database, validator, door)
        self._draft = TaskDraft(database, validator)
        self._update = TaskUpdate(database, validator, door)
        self._preview = preview
        self._simulation = simulation
        self._explanation = explanation
        self._occurrences = Occurrences(database, page_tokens)
        self._manual_run = manual_run
        self._skip = skip
        self._create_backfill = create_backfill
        self._backfills = Backfills(database, hints, page_tokens)
        self._snooze = Snooze(database, validator)

    async def CreateTask(self, request: CreateTaskRequest, context: Context) -> Task:
        """Stores a valid task with its cursor and event triggers, and returns it with its next times."""
        response = await self._create.create(request, current_caller())
        self._hints.send(SCHEDULE, OUTBOX)
        return response

    async def BatchCreateTasks(self, request: BatchCreateTasksRequest, context: Context) -> BatchCreateTasksResponse:
        """Stores all tasks or none."""
        response = await self._create.create_batch(request, current_caller())
        self._hints.send(SCHEDULE, OUTBOX)
        return response

    async def ValidateTask(self, request: ValidateTaskRequest, context: Context) -> Task:
        """Validates a task as CreateTask, without storing it."""
        return await self._create.validate(request, current_caller())

    async def DraftTask(self, request: DraftTaskRequest, context: Context) -> DraftTaskResponse:
        """Returns the tasks that a document means, without storing them."""
        return await self._draft.draft(request, current_caller())

    async def GetTaskSchema(self, request: GetTaskSchemaRequest, context: Context) -> GetTaskSchemaResponse:
        """Returns the strict schema of tasks with the tools that the caller may call."""
        return await self._draft.schema(request, current_caller())

    async def PreviewSchedule(self, request: PreviewScheduleRequest, context: Context) -> PreviewScheduleResponse:
        """Returns the next times of any schedule."""
        return await self._preview.preview(request)

    async def ExplainSchedule(self, request: ExplainScheduleRequest, context: Context) -> ExplainScheduleResponse:
        """Describes any schedule in words."""
        return await self._preview.explain(request)

    async def SimulateTask(self, request: SimulateTaskRequest, context: Context) -> AsyncIterator[SimulateTaskResponse]:
        """Simulates the schedule of a task: streams its occurrences with their outcomes."""
        async with aclosing(self._simulation.simulate(request, current_caller())) as responses:
            async for response in responses:
                yield response

    async def GetTask(self, request: GetTaskRequest, context: Context) -> Task:
        """Returns one task with its next times; without them if the scheduler is unavailable."""
        caller, name = current_caller(), task_id(request.name)
        caller.require(READ, name)
        async with self._database.connection() as connection:
            record = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if record is None:
                raise NotFoundError.of(request.name)
            disabled = await cursor.disabled_triggers(connection, record.uid)
        response = to_task(record, warnings=list(map(_disabled, disabled)))
        await self._validator.add_upcoming(response)
        return response

    async def ListTasks(self, request: ListTasksRequest, context: Context) -> ListTasksResponse:
        """Lists a page of the tasks that the caller may see."""
        caller, size = current_caller(), page_size(request.page_size)
        order = parse_order(request.order_by, task.FIELDS)
        start, condition = self._page_tokens.start(request, caller), parse_filter(request.filter, task.FIELDS)
        condition = within_globs(condition, caller, READ, "name", "tasks/")
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[TaskRecord]:
                selection = Selection(task.FIELDS, order.beyond(after), condition)
                owner = caller.owner_filter
                return await task.list_page(
                    connection, project=caller.project, owner=owner, selection=selection, size=count
                )

            page = await read_page(read, order.key, start, size, to_task)
        token = self._page_tokens.token(request, caller, order.key(page.last)) if page.last else ""
        return ListTasksResponse(tasks=page.messages, next_page_token=token)

    async def ListOccurrences(self, request: ListOccurrencesRequest, context: Context) -> ListOccurrencesResponse:
        """Lists a page of a task's ledger."""
        return await self._occurrences.list_page(request, current_caller())

    async def ExplainOccurrence(self, request: ExplainOccurrenceRequest, context: Context) -> OccurrenceExplanation:
        """Explains why a task ran at a time, or did not."""
        return await self._explanation.explain(request, current_caller())

    async def UpdateTask(self, request: UpdateTaskRequest, context: Context) -> Task:
        """Changes the fields in the mask."""
        caller, name = current_caller(), task_id(request.task.name, "task.name")
        caller.require(WRITE, name)
        response = await self._update.update(request, caller, name)
        self._hints.send(SCHEDULE, OUTBOX)
        return response

    async def DeleteTask(self, request: DeleteTaskRequest, context: Context) -> Empty:
        """Deletes a task and cancels its live runs; its history is kept."""
        caller, name = current_caller(), task_id(request.name)
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, Empty)
        if (response := await mutation.stored_response()) is not None:
            return response

        async def work(connection: Connection) -> Empty:
            record = await _locked(connection, caller, name)
            require_etag(request.etag, record.revision, request.name)
            mutation.replaces(to_task(record))
            await cursor.remove(connection, record.uid)
            await task.delete(connection, record.uid)
            reason = f"the task was deleted by {caller.name}"
            await backfill.cancel(connection, record.uid, None, reason)
            await due_work_finish.cancel_task(connection, task=record.uid, reason=reason)
            await announce_task(connection, "deleted", record, caller)
            return Empty()

        response = await mutation.execute(work)
        self._hints.send(SCHEDULE, OUTBOX, CANCEL, RUN)
        return response

    async def PauseTask(self, request: PauseTaskRequest, context: Context) -> Task:
        """Pauses a task: it stops firing; live runs continue."""
        return await self._set_state(request, "PAUSED", request.reason)

    async def ResumeTask(self, request: ResumeTaskRequest, context: Context) -> Task:
        """Resumes a task: it fires again from now."""
        return await self._set_state(request, "ACTIVE", "", run_newest=request.run_newest)

    async def RunTask(self, request: RunTaskRequest, context: Context) -> Run:
        """Starts a run immediately, in addition to the schedule."""
        caller, name = current_caller(), task_id(request.name)
        caller.require(START, name)
        return await self._manual_run.start(request, caller, name)

    async def SkipOccurrence(self, request: SkipOccurrenceRequest, context: Context) -> Occurrence:
        """Skips one future occurrence."""
        caller, name = current_caller(), task_id(request.name)
        caller.require(WRITE, name)
        return await self._skip.skip(request, caller, name)

    async def SnoozeTask(self, request: SnoozeTaskRequest, context: Context) -> Task:
        """Makes the next occurrence start later."""
        caller, name = current_caller(), task_id(request.name)
        caller.require(WRITE, name)
        return await self._snooze.snooze(request, caller, name)

    async def CreateBackfill(self, request: CreateBackfillRequest, context: Context) -> Backfill:
        """Creates a backfill: runs the instants of a past time range."""
        caller, name = current_caller(), task_id(request.parent, "parent")
        caller.require(WRITE, name)
        if not request.validate_only:
            caller.require(START, name)
        return await self._create_backfill.create(request, caller, name)

    async def GetBackfill(self, request: GetBackfillRequest, context: Context) -> Backfill:
        """Returns one backfill with its progress."""
        return await self._backfills.get(request, current_caller())

    async def ListBackfills(self, request: ListBackfillsRequest, context: Context) -> ListBackfillsResponse:
        """Lists a page of a task's backfills."""
        return await self._backfills.list_page(request, current_caller())

    async def CancelBackfill(self, request: CancelBackfillRequest, context: Context) -> Backfill:
        """Cancels a backfill: it starts no further runs."""
        return await self._backfills.cancel(request, current_caller())

    async def _set_state(
        self, request: PauseTaskRequest | ResumeTaskRequest, state: str, reason: str, *, run_newest: bool = False
    ) -> Task:
        caller, name = current_caller(), task_id(request.name)
        caller.require(WRITE, name)
        if run_newest:
            caller.require(START, name)
        mutation = Mutation(self._database, request, Task)
        if (response := await mutation.stored_response()) is not None:
            return response
        problems = Problems()
        problems.text("reason", reason, REASON_MAX)
        problems.check()

        async def work(connection: Connection) -> Task:
            record = await _locked(connection, caller, name)
            mutation.replaces(to_task(record))
            if record.state == "COMPLETED":
                raise wrong_state(request.name, record.state, "ACTIVE or PAUSED")
            if record.state != state:
                record = await _change_state(connection, caller, record, state, reason, run_newest=run_newest)
            elif state == "ACTIVE":
                await cursor.rearm(connection, record.uid)
            return to_task(record)

        response = await mutation.execute(work)
        self._hints.send(SCHEDULE, OUTBOX)
        return response


def _disabled(disabled: DisabledTrigger) -> str:
    return (
        f"trigger {disabled.trigger} was disabled at {disabled.time:%Y-%m-%dT%H:%M:%SZ} ({disabled.reason}), because "
        "its condition used too much CPU time; its events are kept until an update or ResumeTask enables it"
    )


async def _locked(connection: Connection, caller: Caller, name: str) -> TaskRecord:
    record = await task.lock(connection, project=caller.project, name=name, owner=caller.owner_filter)
    if record is None:
        raise NotFoundError.of(f"tasks/{name}")
    return record


async def _change_state(
    connection: Connection, caller: Caller, record: TaskRecord, state: str, reason: str, *, run_newest: bool
) -> TaskRecord:
    changed = await task.set_state(connection, record.uid, state, reason)
    if state == "PAUSED":
        await cursor.pause(connection, record.uid)
    else:
        await cursor.resume(connection, record.uid, run_newest=run_newest)
    await announce_task(connection, "paused" if state == "PAUSED" else "resumed", changed, caller)
    return changed
