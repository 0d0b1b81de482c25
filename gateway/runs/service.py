# ruff: noqa: N802 - methods are named by the contract
"""RunService: runs are private to their task's owner and to admins; for everybody else they do not exist."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from gateway.api.authentication import Authenticator
from gateway.api.caller import Caller, current_caller
from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.json_values import parse
from gateway.api.ordering import IdOrdering, parse_order
from gateway.api.pagination import Pages, filled, page_size
from gateway.api.resource_names import run_id, task_id
from gateway.api.violations import REASON_MAX, Problems
from gateway.run_changes import Changes
from gateway.runs.access import visible_run
from gateway.runs.conversion import to_run, to_step
from gateway.runs.create import InlineRun
from gateway.runs.replay import RunReplay
from gateway.runs.retry import retry_run
from gateway.runs.simulate import RunSimulation
from gateway.runs.watch import RunWatch
from gateway.step_keys import read_step_key, write_step_key
from ordinaut.errors import FailedPreconditionError, NotFoundError
from ordinaut.rpc.interceptor import Context
from ordinaut.store import due_work_finish, run, task
from ordinaut.store.database import Database
from ordinaut.store.hints import CANCEL, OUTBOX, RUN, WORK, Hints
from ordinaut.store.run import RunRecord, StepRecord
from ordinaut.store.selection import Selection
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    CreateRunRequest,
    GetRunRequest,
    ListRunsRequest,
    ListRunsResponse,
    ListRunStepsRequest,
    ListRunStepsResponse,
    ReplayRunRequest,
    ReplayRunResponse,
    RetryRunRequest,
    SimulateRunRequest,
    SimulateRunResponse,
    WatchRunRequest,
    WatchRunResponse,
)
from ordinaut.v1.run_service_pb2_grpc import RunServiceServicer
from ordinaut.v1.view_pb2 import BASIC, FULL

READ = "runs:read"
WRITE = "runs:write"
RUN_TASK = "tasks:run"
NEWEST_FIRST = "create_time desc"
ORDERS = {"create_time": run.ID}  # a run's id begins with its time


class Runs(RunServiceServicer):
    """Answers calls about runs."""

    def __init__(
        self,
        database: Database,
        hints: Hints,
        pages: Pages,
        inline: InlineRun,
        simulation: RunSimulation,
        replay: RunReplay,
        watch: RunWatch,
        authenticator: Authenticator,
    ) -> None:
        self._database = database
        self._hints = hints
        self._pages = pages
        self._inline = inline
        self._simulation = simulation
        self._replay = replay
        self._watch = watch
        self._authenticator = authenticator

    async def CreateRun(self, request: CreateRunRequest, context: Context) -> Run:
        """Runs a pipeline once, without a task."""
        return await self._inline.start(request, current_caller())

    async def GetRun(self, request: GetRunRequest, context: Context) -> Run:
        """One run, with steps unless the view is BASIC."""
        caller, wanted = current_caller(), run_id(request.name)
        async with self._database.connection() as connection:
            return to_run(await visible_run(connection, caller, wanted, READ, steps=request.view != BASIC))

    async def ListRunSteps(self, request: ListRunStepsRequest, context: Context) -> ListRunStepsResponse:
        """A page of a run's steps, in the order in which they were recorded."""
        caller, wanted = current_caller(), run_id(request.parent, "parent")
        size, start = page_size(request.page_size), self._pages.start(request, caller)
        payloads = request.view != BASIC
        async with self._database.connection() as connection:
            record = await visible_run(connection, caller, wanted, READ, steps=False)

            async def read(after: str, count: int) -> list[StepRecord]:
                key = read_step_key(after)
                return await run.steps_page(connection, wanted, after=key, payloads=payloads, size=count)

            def make(step: StepRecord) -> StepRun:
                return to_step(record.root, parse(step.step))

            page = await filled(read, write_step_key, start, size, make)
        token = self._pages.token(request, caller, write_step_key(page.last)) if page.last else ""
        return ListRunStepsResponse(steps=page.messages, next_page_token=token)

    async def ListRuns(self, request: ListRunsRequest, context: Context) -> ListRunsResponse:
        """A page of the runs that the caller may see, the newest first."""
        caller, size = current_caller(), page_size(request.page_size)
        order = IdOrdering(run.ID, parse_order(request.order_by, ORDERS, NEWEST_FIRST).descending)
        start, condition = self._pages.start(request, caller), parse_filter(request.filter, run.FIELDS)
        states = [Run.State.Name(state) for state in request.states]
        async with self._database.connection() as connection:
            of_task = await _task_filter(connection, caller, request.task)

            async def read(after: str, count: int) -> list[RunRecord]:
                return await run.list_page(
                    connection,
                    project=caller.project,
                    owner=caller.owner_filter,
                    task=of_task,
                    states=states or None,
                    selection=Selection(run.FIELDS, order.beyond(after), condition),
                    size=count,
                )

            page = await filled(read, order.key, start, size, to_run, lambda record: caller.may(READ, record.task_name))
        token = self._pages.token(request, caller, order.key(page.last)) if page.last else ""
        return ListRunsResponse(runs=page.messages, next_page_token=token)

    async def WatchRun(self, request: WatchRunRequest, context: Context) -> AsyncIterator[WatchRunResponse]:
        """The run with its steps, and after every change the run with the changed ones, until it has ended."""
        caller, wanted = current_caller(), run_id(request.name)
        async with self._database.connection() as connection:
            await visible_run(connection, caller, wanted, READ, steps=False)
        changes, payloads = Changes(payloads=request.view == FULL), request.view == FULL
        vigil = self._authenticator.vigil(context)
        async with aclosing(self._watch.watch(wanted, vigil, payloads=payloads)) as records:
            async for record in records:
                if (message := changes.of(record)) is not None:
                    yield message

    async def CancelRun(self, request: CancelRunRequest, context: Context) -> Run:
        """Ends a run that no worker holds; asks the worker of a running one to end it."""
        caller, wanted = current_caller(), run_id(request.name)
        mutation = Mutation(self._database, request, Run)
        if (answer := await mutation.earlier()) is not None:
            return answer
        problems = Problems()
        problems.text("reason", request.reason, REASON_MAX)
        problems.check()
        reason = request.reason or f"{caller.name} cancelled it"

        async def work(connection: Connection) -> Run:
            await visible_run(connection, caller, wanted, WRITE, steps=False)
            if await due_work_finish.request_cancel(connection, run=wanted, reason=reason) == "UNKNOWN":
                ended = await visible_run(connection, caller, wanted, WRITE, steps=False)
                raise FailedPreconditionError(
                    ErrorReason.RUN_FINISHED, f"{request.name} has ended already", {"state": ended.state}
                )
            return to_run(await visible_run(connection, caller, wanted, WRITE, steps=False))

        answer = await mutation.once(work)
        self._hints.send(CANCEL, RUN, OUTBOX)
        return answer

    async def RetryRun(self, request: RetryRunRequest, context: Context) -> Run:
        """Takes up a run that failed or was cancelled."""
        caller, wanted = current_caller(), run_id(request.name)
        mutation = Mutation(self._database, request, Run)
        if (answer := await mutation.earlier()) is not None:
            return answer

        async def work(connection: Connection) -> Run:
            ended = await visible_run(connection, caller, wanted, WRITE, steps=False)
            if ended.task_name:
                caller.require(RUN_TASK, ended.task_name)
            return await retry_run(connection, ended)

        answer = await mutation.once(work)
        self._hints.send(WORK, OUTBOX, RUN)
        return answer

    async def SimulateRun(self, request: SimulateRunRequest, context: Context) -> SimulateRunResponse:
        """Executes a pipeline without touching anything."""
        return await self._simulation.simulate(request, current_caller())

    async def ReplayRun(self, request: ReplayRunRequest, context: Context) -> ReplayRunResponse:
        """An ended run once more on its own journal."""
        return await self._replay.replay(request, current_caller())


async def _task_filter(connection: Connection, caller: Caller, name: str) -> UUID | None:
    if not name:
        return None
    found = await task.find_uid(
        connection, project=caller.project, name=task_id(name, "task"), owner=caller.owner_filter
    )
    if found is None:
        raise NotFoundError.of(name)
    return found
