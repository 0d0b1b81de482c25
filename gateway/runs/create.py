"""CreateRun: runs a pipeline once, without a task."""

from google.protobuf.message import Message

from gateway.admission.door import Door
from gateway.api.errors import too_many_live_runs
from gateway.api.idempotency import Mutation
from gateway.api.json_values import to_datetime, to_json
from gateway.api.resource_names import new_id
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from gateway.definitions.validation import TaskValidator
from gateway.runs.conversion import to_run
from ordinaut.errors import NotFoundError
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.runs import run
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import inline_run
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest
from ordinaut.v1.task_pb2 import RunPolicy, Task


class InlineRun:
    """Implements CreateRun."""

    def __init__(
        self, database: Database, hints: Hints, validator: TaskValidator, door: Door, live_runs_max: int
    ) -> None:
        self._door = door
        self._database = database
        self._hints = hints
        self._validator = validator
        self._live_runs_max = live_runs_max

    async def start(self, request: CreateRunRequest, caller: Caller, *, original: Message | None = None) -> Run:
        """Enqueues a run of the document in the request, with the caller's rights.

        `original` is the request that the caller sent, if `request` was derived from it.

        Raises:
            InvalidArgumentError: with all violations of document, params and policy.
            ResourceExhaustedError: LIMIT_REACHED: the caller has too many live runs without a task; QUOTA_EXCEEDED.
            UnavailableError: ENGINE_UNAVAILABLE.
        """
        mutation = Mutation(self._database, original or request, Run)
        if (response := await mutation.stored_response()) is not None:
            return response
        await self._require_room(caller)
        problems = Problems()
        _refuse_task_rules(problems, request.run_policy)
        task = Task(pipeline=request.pipeline, params=request.params, run_policy=request.run_policy)
        definition = await self._validator.validate_inline(
            task, problems, project=caller.project, owner=caller.name, rights=caller.scopes
        )

        async def work(connection: Connection) -> Run:
            await self._door.usage.require_bytes("pipeline_bytes", caller.project, len(definition.pipeline), connection)
            await self._door.usage.require_run(connection, caller.project, caller.name, inline=True)
            run_uid = new_id()
            await inline_run.enqueue(
                connection,
                project=caller.project,
                owner=caller.name,
                run=run_uid,
                definition=definition,
                params_json=to_json(request.params),
                start_time=to_datetime(request.start_time) if request.HasField("start_time") else None,
            )
            record = await run.get(connection, run_uid, steps=False)
            if record is None:
                raise NotFoundError.of(f"runs/{run_uid}")
            return to_run(record)

        response = await mutation.execute(work)
        self._hints.send(WORK, OUTBOX, RUN)
        return response

    async def _require_room(self, caller: Caller) -> None:
        async with self._database.connection() as connection:
            live = await inline_run.live(
                connection, project=caller.project, owner=caller.name, count_to=self._live_runs_max
            )
        if live >= self._live_runs_max:
            raise too_many_live_runs(caller.name, "live runs without a task", live, self._live_runs_max)


def _refuse_task_rules(problems: Problems, policy: RunPolicy) -> None:
    is_set = {
        "overlap": policy.HasField("overlap"),
        "pause_after_failures": policy.pause_after_failures != 0,
        "expect_success_every": policy.HasField("expect_success_every"),
        "rights": policy.rights != RunPolicy.RIGHTS_UNSPECIFIED,
    }
    for name in (name for name, value in is_set.items() if value):
        problems.add(f"run_policy.{name}", "must be omitted: it applies only to runs of a task")
