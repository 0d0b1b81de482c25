# ruff: noqa: N802 - methods are named by the contract
"""RunService: runs are visible to their owner and admins, and do not exist for other callers."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from uuid import UUID

from gateway.admission.door import Door
from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.json_values import parse
from gateway.api.ordering import IdOrdering, parse_order
from gateway.api.pagination import PageTokens, page_size, read_page
from gateway.api.rehearsal import refuse_change
from gateway.api.resource_names import run_id, task_id
from gateway.api.violations import REASON_MAX, Problems
from gateway.api.visibility import within_globs
from gateway.authentication.authenticator import Authenticator
from gateway.authentication.caller import Caller, current_caller
from gateway.runs.access import require_visible, visible_run
from gateway.runs.conversion import to_run, to_step
from gateway.runs.create import InlineRun
from gateway.runs.replay import RunReplay
from gateway.runs.response_size import accepted_bytes, check_full, fit_step, too_large
from gateway.runs.retry import retry_run
from gateway.runs.simulate import RunSimulation
from gateway.runs.watch import RunChanges, RunWatch
from ordinaut.errors import FailedPreconditionError, NotFoundError
from ordinaut.names import WITHOUT_TASK
from ordinaut.rpc.interceptor import Context
from ordinaut.store.database import Database
from ordinaut.store.hints import CANCEL, OUTBOX, RUN, WORK, Hints
from ordinaut.store.queue import due_work_finish
from ordinaut.store.runs import run
from ordinaut.store.runs.run import RunRecord, StepKey, StepRecord
from ordinaut.store.selection import Selection
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import task
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
ORDERS = {"create_time": run.ID}  # ids begin with the creation time


class Runs(RunServiceServicer):
    """Implements RunService."""

    def __init__(
        self,
        database: Database,
        hints: Hints,
        page_tokens: PageTokens,
        inline_run: InlineRun,
        simulation: RunSimulation,
        replay: RunReplay,
        watch: RunWatch,
        authenticator: Authenticator,
        door: Door,
    ) -> None:
        self._door = door
        self._database = database
        self._hints = hints
        self._page_tokens = page_tokens
        self._inline_run = inline_run
        self._simulation = simulation
        self._replay = replay
        self._watch = watch
        self._authenticator = authenticator

    async def CreateRun(self, request: CreateRunRequest, context: Context) -> Run:
        """Starts a run of a pipeline, without a task."""
        caller = current_caller()
        caller.require(WRITE, WITHOUT_TASK)
        return await self._inline_run.start(request, caller)

    async def GetRun(self, request: GetRunRequest, context: Context) -> Run:
        """Returns one run, with steps unless the view is BASIC."""
        caller, run_uid, is_full = current_caller(), run_id(request.name), request.view != BASIC
        async with self._database.connection() as connection:
            record = await visible_run(connection, caller, run_uid, READ, steps=is_full)
        if not is_full:
            return to_run(record)
        max_bytes = accepted_bytes(context.invocation_metadata())
        if len(record.steps or "") > 2 * max_bytes:  # the JSON has white space and more text than the message
            raise too_large(request.name, f"more than {max_bytes} bytes", max_bytes)
        return check_full(to_run(replace(record, steps=record.steps or "[]")), max_bytes)

    async def ListRunSteps(self, request: ListRunStepsRequest, context: Context) -> ListRunStepsResponse:
        """Lists a page of a run's steps, in the order in which they were recorded."""
        caller, run_uid = current_caller(), run_id(request.parent, "parent")
        size, start = page_size(request.page_size), self._page_tokens.start(request, caller)
        payloads = request.view != BASIC
        async with self._database.connection() as connection:
            record = await visible_run(connection, caller, run_uid, READ, steps=False)

            async def read(after: str, count: int) -> list[StepRecord]:
                key = read_step_key(after)
                return await run.steps_page(connection, run_uid, after=key, payloads=payloads, size=count)

            def convert(step: StepRecord) -> StepRun:
                return fit_step(to_step(record, parse(step.step)))

            page = await read_page(read, write_step_key, start, size, convert)
        token = self._page_tokens.token(request, caller, write_step_key(page.last)) if page.last else ""
        return ListRunStepsResponse(steps=page.messages, next_page_token=token)

    async def ListRuns(self, request: ListRunsRequest, context: Context) -> ListRunsResponse:
        """Lists a page of the runs that the caller may see, newest first."""
        caller, size = current_caller(), page_size(request.page_size)
        order = IdOrdering(run.ID, parse_order(request.order_by, ORDERS, NEWEST_FIRST).descending)
        start, condition = self._page_tokens.start(request, caller), parse_filter(request.filter, run.FIELDS)
        condition = within_globs(condition, caller, READ, "task", "tasks/")
        states = [Run.State.Name(state) for state in request.states]
        async with self._database.connection() as connection:
            task_uid = await _task_filter(connection, caller, request.task)

            async def read(after: str, count: int) -> list[RunRecord]:
                return await run.list_page(
                    connection,
                    project=caller.project,
                    owner=caller.owner_filter,
                    task=task_uid,
                    states=states or None,
                    selection=Selection(run.FIELDS, order.beyond(after), condition),
                    size=count,
                )

            page = await read_page(read, order.key, start, size, to_run)
        token = self._page_tokens.token(request, caller, order.key(page.last)) if page.last else ""
        return ListRunsResponse(runs=page.messages, next_page_token=token)

    async def WatchRun(self, request: WatchRunRequest, context: Context) -> AsyncIterator[WatchRunResponse]:
        """Streams the run with its steps, then after each change the run with the changed steps, until it has ended."""
        caller, run_uid = current_caller(), run_id(request.name)
        async with self._database.connection() as connection:
            watched = await visible_run(connection, caller, run_uid, READ, steps=False)
        refuse_change()
        changes, payloads = RunChanges(payloads=request.view == FULL), request.view == FULL
        token_recheck = self._authenticator.token_recheck(context, lambda now: require_visible(now, watched, READ))
        async with aclosing(self._watch.watch(run_uid, token_recheck, payloads=payloads)) as records:
            async for record in records:
                for message in changes.next_responses(record):
                    yield message

    async def CancelRun(self, request: CancelRunRequest, context: Context) -> Run:
        """Cancels a run; if a worker is executing it, the worker is asked to end it."""
        caller, run_uid = current_caller(), run_id(request.name)
        mutation = Mutation(self._database, request, Run)
        if (response := await mutation.stored_response()) is not None:
            return response
        problems = Problems()
        problems.text("reason", request.reason, REASON_MAX)
        problems.check()
        reason = request.reason or f"cancelled by {caller.name}"

        async def work(connection: Connection) -> Run:
            await visible_run(connection, caller, run_uid, WRITE, steps=False)
            if await due_work_finish.request_cancel(connection, run=run_uid, reason=reason) == "UNKNOWN":
                ended = await visible_run(connection, caller, run_uid, WRITE, steps=False)
                raise FailedPreconditionError(
                    ErrorReason.RUN_FINISHED,
                    f"{request.name} must not have ended (is {ended.state})",
                    {"state": ended.state},
                )
            return to_run(await visible_run(connection, caller, run_uid, WRITE, steps=False))

        response = await mutation.execute(work)
        self._hints.send(CANCEL, RUN, OUTBOX)
        return response

    async def RetryRun(self, request: RetryRunRequest, context: Context) -> Run:
        """Starts a retry of a failed or cancelled run."""
        caller, run_uid = current_caller(), run_id(request.name)
        mutation = Mutation(self._database, request, Run)
        if (response := await mutation.stored_response()) is not None:
            return response

        async def work(connection: Connection) -> Run:
            ended = await visible_run(connection, caller, run_uid, WRITE, steps=False)
            if ended.task_name:
                caller.require(RUN_TASK, ended.task_name)
            await self._door.usage.require_run(connection, caller.project, ended.owner, inline=not ended.task_name)
            return await retry_run(connection, caller, ended, request)

        response = await mutation.execute(work)
        self._hints.send(WORK, OUTBOX, RUN)
        return response

    async def SimulateRun(self, request: SimulateRunRequest, context: Context) -> SimulateRunResponse:
        """Simulates a run without side effects."""
        return await self._simulation.simulate(request, current_caller())

    async def ReplayRun(self, request: ReplayRunRequest, context: Context) -> ReplayRunResponse:
        """Replays an ended run with the results from its journal."""
        return await self._replay.replay(request, current_caller())


async def _task_filter(connection: Connection, caller: Caller, name: str) -> UUID | None:
    if not name:
        return None
    uid = await task.find_uid(connection, project=caller.project, name=task_id(name, "task"), owner=caller.owner_filter)
    if uid is None:
        raise NotFoundError.of(name)
    return uid


def read_step_key(text: str) -> StepKey:
    r"""Parses the sort key in page tokens of ListRunSteps; an empty text precedes every step.

    >>> read_step_key("7\n1\nloop[3].b")
    StepKey(seq=7, path='loop[3].b', attempt=1)
    """
    if not text:
        return StepKey()
    seq, attempt, path = text.split("\n", 2)
    return StepKey(int(seq), path, int(attempt))


def write_step_key(record: StepRecord) -> str:
    """Returns the sort key of a step as text."""
    key = record.key
    return f"{key.seq}\n{key.attempt}\n{key.path}"
