# ruff: noqa: N802 - methods are named by the contract
"""TaskService: tasks are private to their owner and to admins; for everybody else they do not exist."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.protobuf.empty_pb2 import Empty

from gateway.api.caller import Caller, current_caller
from gateway.api.field_masks import require_etag
from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.ordering import parse_order
from gateway.api.pagination import Pages, filled, page_size
from gateway.api.resource_names import task_id
from gateway.api.violations import REASON_MAX, Problems
from gateway.definitions.validation import TaskCheck
from gateway.runs.run_task import TaskRun
from gateway.tasks.backfills.create import BackfillCreate
from gateway.tasks.backfills.service import Backfills
from gateway.tasks.conversion import to_task
from gateway.tasks.create import TaskCreate
from gateway.tasks.lifecycle_events import announce_task
from gateway.tasks.occurrences.explanation.explain import Explanation
from gateway.tasks.occurrences.list import Occurrences
from gateway.tasks.occurrences.skip import OccurrenceSkip
from gateway.tasks.occurrences.snooze import Snooze
from gateway.tasks.preview import SchedulePreview
from gateway.tasks.simulate import TaskSimulation
from gateway.tasks.update import TaskUpdate
from ordinaut.errors import FailedPreconditionError, NotFoundError
from ordinaut.rpc.interceptor import Context
from ordinaut.store import backfill, cursor, due_work_finish, task
from ordinaut.store.database import Database
from ordinaut.store.hints import CANCEL, OUTBOX, RUN, SCHEDULE, Hints
from ordinaut.store.selection import Selection
from ordinaut.store.sql import Connection
from ordinaut.store.task import TaskRecord
from ordinaut.v1.backfill_pb2 import Backfill
from ordinaut.v1.error_pb2 import ErrorReason
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
    ExplainOccurrenceRequest,
    ExplainScheduleRequest,
    ExplainScheduleResponse,
    GetBackfillRequest,
    GetTaskRequest,
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
    """Answers calls about tasks."""

    def __init__(
        self,
        database: Database,
        hints: Hints,
        pages: Pages,
        check: TaskCheck,
        preview: SchedulePreview,
        simulation: TaskSimulation,
        explanation: Explanation,
        start: TaskRun,
        skip: OccurrenceSkip,
        begin: BackfillCreate,
    ) -> None:
        self._database = database
        self._hints = hints
        self._pages = pages
        self._check = check
        self._create = TaskCreate(database, check)
        self._update = TaskUpdate(database, check)
        self._preview = preview
        self._simulation = simulation
        self._explanation = explanation
        self._occurrences = Occurrences(database, pages)
        self._start = start
        self._skip = skip
        self._begin = begin
        self._backfills = Backfills(database, hints, pages)
        self._snooze = Snooze(database, check)

    async def CreateTask(self, request: CreateTaskRequest, context: Context) -> Task:
        """Stores a checked task with its cursor and event triggers, and answers with its next times."""
        answer = await self._create.create(request, current_caller())
        self._hints.send(SCHEDULE, OUTBOX)
        return answer

    async def BatchCreateTasks(self, request: BatchCreateTasksRequest, context: Context) -> BatchCreateTasksResponse:
        """Stores many tasks or none."""
        answer = await self._create.create_batch(request, current_caller())
        self._hints.send(SCHEDULE, OUTBOX)
        return answer

    async def ValidateTask(self, request: ValidateTaskRequest, context: Context) -> Task:
        """Checks a task as CreateTask does and stores nothing."""
        return await self._create.validate(request, current_caller())

    async def PreviewSchedule(self, request: PreviewScheduleRequest, context: Context) -> PreviewScheduleResponse:
        """The coming times of any schedule."""
        return await self._preview.preview(request)

    async def ExplainSchedule(self, request: ExplainScheduleRequest, context: Context) -> ExplainScheduleResponse:
        """Any schedule in one sentence."""
        return await self._preview.explain(request)

    async def SimulateTask(self, request: SimulateTaskRequest, context: Context) -> AsyncIterator[SimulateTaskResponse]:
        """What would become of a task's moments."""
        async with aclosing(self._simulation.simulate(request, current_caller())) as answers:
            async for answer in answers:
                yield answer

    async def GetTask(self, request: GetTaskRequest, context: Context) -> Task:
        """One task with its next times; without them while the scheduler is away."""
        caller, name = current_caller(), task_id(request.name)
        caller.require(READ, name)
        async with self._database.connection() as connection:
            record = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
        if record is None:
            raise NotFoundError.of(request.name)
        found = to_task(record)
        await self._check.foretell(found)
        return found

    async def ListTasks(self, request: ListTasksRequest, context: Context) -> ListTasksResponse:
        """A page of the tasks that the caller may see."""
        caller, size = current_caller(), page_size(request.page_size)
        order = parse_order(request.order_by, task.FIELDS)
        start, condition = self._pages.start(request, caller), parse_filter(request.filter, task.FIELDS)
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[TaskRecord]:
                selection = Selection(task.FIELDS, order.beyond(after), condition)
                owner = caller.owner_filter
                return await task.list_page(
                    connection, project=caller.project, owner=owner, selection=selection, size=count
                )

            page = await filled(read, order.key, start, size, to_task, lambda record: caller.may(READ, record.name))
        token = self._pages.token(request, caller, order.key(page.last)) if page.last else ""
        return ListTasksResponse(tasks=page.messages, next_page_token=token)

    async def ListOccurrences(self, request: ListOccurrencesRequest, context: Context) -> ListOccurrencesResponse:
        """A page of a task's ledger."""
        return await self._occurrences.list_page(request, current_caller())

    async def ExplainOccurrence(self, request: ExplainOccurrenceRequest, context: Context) -> OccurrenceExplanation:
        """Why a task ran at a moment, or did not."""
        return await self._explanation.explain(request, current_caller())

    async def UpdateTask(self, request: UpdateTaskRequest, context: Context) -> Task:
        """Changes what the mask names."""
        caller, name = current_caller(), task_id(request.task.name, "task.name")
        caller.require(WRITE, name)
        answer = await self._update.update(request, caller, name)
        self._hints.send(SCHEDULE, OUTBOX)
        return answer

    async def DeleteTask(self, request: DeleteTaskRequest, context: Context) -> Empty:
        """Deletes a task and cancels its live runs; its history stays."""
        caller, name = current_caller(), task_id(request.name)
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, Empty)
        if (answer := await mutation.earlier()) is not None:
            return answer

        async def work(connection: Connection) -> Empty:
            record = await _locked(connection, caller, name)
            require_etag(request.etag, record.revision, request.name)
            await cursor.remove(connection, record.uid)
            await task.delete(connection, record.uid)
            reason = f"{caller.name} deleted the task"
            await backfill.cancel(connection, record.uid, None, reason)
            await due_work_finish.cancel_task(connection, task=record.uid, reason=reason)
            await announce_task(connection, "deleted", record, caller)
            return Empty()

        answer = await mutation.once(work)
        self._hints.send(SCHEDULE, OUTBOX, CANCEL, RUN)
        return answer

    async def PauseTask(self, request: PauseTaskRequest, context: Context) -> Task:
        """Stops firing; live runs go on."""
        return await self._set_state(request, "PAUSED", request.reason)

    async def ResumeTask(self, request: ResumeTaskRequest, context: Context) -> Task:
        """Fires again from now on."""
        return await self._set_state(request, "ACTIVE", "", run_newest=request.run_newest)

    async def RunTask(self, request: RunTaskRequest, context: Context) -> Run:
        """Queues a run beside the schedule."""
        caller, name = current_caller(), task_id(request.name)
        caller.require(START, name)
        return await self._start.start(request, caller, name)

    async def SkipOccurrence(self, request: SkipOccurrenceRequest, context: Context) -> Occurrence:
        """Takes one coming occurrence away."""
        caller, name = current_caller(), task_id(request.name)
        caller.require(WRITE, name)
        return await self._skip.skip(request, caller, name)

    async def SnoozeTask(self, request: SnoozeTaskRequest, context: Context) -> Task:
        """Has the next occurrence start later."""
        caller, name = current_caller(), task_id(request.name)
        caller.require(WRITE, name)
        return await self._snooze.snooze(request, caller, name)

    async def CreateBackfill(self, request: CreateBackfillRequest, context: Context) -> Backfill:
        """Begins to run a stretch of the task's past."""
        caller, name = current_caller(), task_id(request.parent, "parent")
        caller.require(WRITE, name)
        return await self._begin.create(request, caller, name)

    async def GetBackfill(self, request: GetBackfillRequest, context: Context) -> Backfill:
        """One backfill with its progress."""
        return await self._backfills.get(request, current_caller())

    async def ListBackfills(self, request: ListBackfillsRequest, context: Context) -> ListBackfillsResponse:
        """A page of a task's backfills."""
        return await self._backfills.list_page(request, current_caller())

    async def CancelBackfill(self, request: CancelBackfillRequest, context: Context) -> Backfill:
        """Has a backfill start nothing more."""
        return await self._backfills.cancel(request, current_caller())

    async def _set_state(
        self, request: PauseTaskRequest | ResumeTaskRequest, state: str, reason: str, *, run_newest: bool = False
    ) -> Task:
        caller, name = current_caller(), task_id(request.name)
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, Task)
        if (answer := await mutation.earlier()) is not None:
            return answer
        problems = Problems()
        problems.text("reason", reason, REASON_MAX)
        problems.check()

        async def work(connection: Connection) -> Task:
            record = await _locked(connection, caller, name)
            if record.state == "COMPLETED":
                raise FailedPreconditionError(
                    ErrorReason.TASK_STATE, f"{request.name} is COMPLETED", {"state": record.state}
                )
            if record.state != state:
                record = await _change_state(connection, caller, record, state, reason, run_newest=run_newest)
            return to_task(record)

        answer = await mutation.once(work)
        self._hints.send(SCHEDULE, OUTBOX)
        return answer


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
