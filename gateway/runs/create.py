"""CreateRun: a pipeline once, without a task."""

from google.protobuf.message import Message

from gateway.api.idempotency import Mutation
from gateway.api.json_values import moment_of, to_json
from gateway.api.resource_names import new_id
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from gateway.definitions.validation import TaskCheck
from gateway.runs.conversion import to_run
from ordinaut.errors import NotFoundError, ResourceExhaustedError
from ordinaut.store import inline_run, run
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest
from ordinaut.v1.task_pb2 import Task

FLOOD_RETRY_SECONDS = 5.0


class InlineRun:
    """CreateRun."""

    def __init__(self, database: Database, hints: Hints, check: TaskCheck, live_runs_max: int) -> None:
        self._database = database
        self._hints = hints
        self._check = check
        self._live_runs_max = live_runs_max

    async def start(self, request: CreateRunRequest, caller: Caller, *, asked: Message | None = None) -> Run:
        """Queues a run of the document in the request, with the caller's rights; `asked` is what the caller sent.

        Raises:
            InvalidArgumentError: with every problem of document, params and policy.
            ResourceExhaustedError: LIMIT_REACHED: too many such runs of the caller are live.
            UnavailableError: ENGINE_UNAVAILABLE.
        """
        mutation = Mutation(self._database, asked or request, Run)
        if (answer := await mutation.earlier()) is not None:
            return answer
        await self._require_room(caller)
        problems = Problems()
        if request.run_policy.HasField("overlap"):
            problems.add("run_policy.overlap", "has no meaning without a task")
        if request.run_policy.pause_after_failures:
            problems.add("run_policy.pause_after_failures", "has no meaning without a task")
        if request.run_policy.HasField("expect_success_every"):
            problems.add("run_policy.expect_success_every", "has no meaning without a task")
        task = Task(pipeline=request.pipeline, params=request.params, run_policy=request.run_policy)
        definition = await self._check.check_inline(task, problems, project=caller.project, rights=caller.scopes)

        async def work(connection: Connection) -> Run:
            queued = new_id()
            await inline_run.enqueue(
                connection,
                project=caller.project,
                owner=caller.name,
                run=queued,
                definition=definition,
                params_json=to_json(request.params),
                start_time=moment_of(request.start_time) if request.HasField("start_time") else None,
            )
            record = await run.get(connection, queued, steps=False)
            if record is None:
                raise NotFoundError.of(f"runs/{queued}")
            return to_run(record)

        answer = await mutation.once(work)
        self._hints.send(WORK, OUTBOX, RUN)
        return answer

    async def _require_room(self, caller: Caller) -> None:
        async with self._database.connection() as connection:
            live = await inline_run.live(
                connection, project=caller.project, owner=caller.name, count_to=self._live_runs_max
            )
        if live >= self._live_runs_max:
            raise ResourceExhaustedError(
                ErrorReason.LIMIT_REACHED,
                f"{caller.name} has {live} live runs without a task; wait for some of them to end",
                {"resource": caller.name, "limit": live},
                retry_after=FLOOD_RETRY_SECONDS,
            )
