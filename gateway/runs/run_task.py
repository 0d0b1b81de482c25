"""RunTask: starts a run immediately, in addition to the schedule, with as few round trips as possible."""

from uuid import UUID

from gateway.admission.door import Door
from gateway.api.errors import too_many_live_runs
from gateway.api.idempotency import Mutation
from gateway.api.json_values import to_datetime
from gateway.api.rehearsal import refuse_change
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from gateway.clients import EngineClient
from gateway.definitions.owner_priority import require_priority
from gateway.definitions.params import check_params, merge_params
from gateway.runs.conversion import to_run
from gateway.runs.starter_rights import require_starter_rights
from ordinaut.errors import FailedPreconditionError, NotFoundError
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.queue import due_work_enqueue
from ordinaut.store.runs import run
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import task
from ordinaut.store.tasks.task import TaskToRun
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.task_service_pb2 import RunTaskRequest


class ManualRun:
    """Implements RunTask."""

    def __init__(self, database: Database, hints: Hints, engines: EngineClient, door: Door, live_runs_max: int) -> None:
        self._door = door
        self._database = database
        self._hints = hints
        self._engines = engines
        self._live_runs_max = live_runs_max

    async def start(self, request: RunTaskRequest, caller: Caller, name: str) -> Run:
        """Enqueues a run of the task's current version; `params` override those of the task.

        Raises:
            InvalidArgumentError: the params violate the task's schema.
            PermissionDeniedError: MISSING_SCOPE: the token limits the run and lacks what a step needs.
            FailedPreconditionError: OVERLAP, with the live run, if the overlap policy does not buffer this run.
            PermissionDeniedError: PRIORITY_NOT_ALLOWED.
            ResourceExhaustedError: LIMIT_REACHED: the task has too many live runs; QUOTA_EXCEEDED.
            UnavailableError: ENGINE_UNAVAILABLE, if params must be validated.
        """
        mutation = Mutation(self._database, request, Run)
        if (response := await mutation.stored_response()) is not None:
            return response
        problems = Problems()
        problems.between("priority", request.priority, 0, 9)
        async with self._database.connection() as connection:
            target = await self._task(connection, caller, name)
            if target is None:
                problems.check()
                raise NotFoundError.of(request.name)
            if target.live_runs >= self._live_runs_max:
                raise too_many_live_runs(request.name, "live runs", target.live_runs, self._live_runs_max)
            if target.limited:
                await require_starter_rights(connection, caller, target.uid, target.version)
            if request.priority:
                await require_priority(connection, caller.project, target.owner, request.priority)
            await self._door.usage.require_run(connection, caller.project, target.owner)
            if _is_plain(request, target):
                problems.check()
                return await self._start_immediately(connection, caller, request, target, mutation)
        params = merge_params(target.params, request.params)
        await check_params(self._engines, problems, target.params_schema, params, overrides=request.params)
        problems.check()

        async def work(connection: Connection) -> Run:
            return await _read(connection, await _enqueue(connection, caller, request, target, params))

        response = await mutation.execute(work)
        self._hints.send(WORK, OUTBOX, RUN)
        return response

    async def _task(self, connection: Connection, caller: Caller, name: str) -> TaskToRun | None:
        return await task.to_run(
            connection, project=caller.project, name=name, owner=caller.owner_filter, count_to=self._live_runs_max
        )

    async def _start_immediately(
        self,
        connection: Connection,
        caller: Caller,
        request: RunTaskRequest,
        target: TaskToRun,
        mutation: Mutation[Run],
    ) -> Run:
        """Enqueues a run without validation and stored response; workers get the hint before the run is read."""
        refuse_change()
        async with connection.transaction():
            params = merge_params(target.params, request.params)
            record = mutation.record_text(Run(name=f"runs/{target.run}"))
            run_uid = await _enqueue(connection, caller, request, target, params, record)
        self._hints.send(WORK, OUTBOX, RUN)
        return await _read(connection, run_uid)


def _is_plain(request: RunTaskRequest, target: TaskToRun) -> bool:
    """Whether no response has to be stored and no params have to be validated."""
    return not request.request_id and (target.params_schema is None or not request.params.fields)


async def _enqueue(
    connection: Connection,
    caller: Caller,
    request: RunTaskRequest,
    target: TaskToRun,
    params: str,
    record: str | None = None,
) -> UUID:
    result = await due_work_enqueue.enqueue_manual(
        connection,
        task=target.uid,
        run=target.run,
        params_json=params,
        priority=request.priority or None,
        start_time=to_datetime(request.start_time) if request.HasField("start_time") else None,
        starter_scopes=caller.scopes,
        record=record,
    )
    if result.run is None:
        live = f"runs/{result.live_run}" if result.live_run else ""
        raise FailedPreconditionError(
            ErrorReason.OVERLAP, f"{request.name} cannot run now: {result.reason}", {"live_run": live}
        )
    return result.run


async def _read(connection: Connection, run_uid: UUID) -> Run:
    record = await run.get(connection, run_uid, steps=False)
    if record is None:
        raise NotFoundError.of(f"runs/{run_uid}")
    return to_run(record)
