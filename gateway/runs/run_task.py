"""RunTask: a run beside the schedule, in few round trips, because somebody is waiting for it."""

from uuid import UUID

from gateway.api.caller import Caller
from gateway.api.idempotency import Mutation
from gateway.api.json_values import moment_of
from gateway.api.violations import Problems
from gateway.clients import Engines
from gateway.definitions.params import check_params, laid_over
from gateway.runs.conversion import to_run
from ordinaut.errors import FailedPreconditionError, NotFoundError, ResourceExhaustedError
from ordinaut.store import due_work_enqueue, run, task
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.sql import Connection
from ordinaut.store.task import TaskToRun
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.task_service_pb2 import RunTaskRequest

FLOOD_RETRY_SECONDS = 5.0


class TaskRun:
    """RunTask."""

    def __init__(self, database: Database, hints: Hints, engines: Engines, live_runs_max: int) -> None:
        self._database = database
        self._hints = hints
        self._engines = engines
        self._live_runs_max = live_runs_max

    async def start(self, request: RunTaskRequest, caller: Caller, name: str) -> Run:
        """Queues a run of the task's present version with `params` laid over the task's.

        Raises:
            InvalidArgumentError: the params do not fit the task's schema.
            FailedPreconditionError: OVERLAP, naming the live run, where the policy does not let this one wait for it.
            ResourceExhaustedError: LIMIT_REACHED: too many live runs of the task.
            UnavailableError: ENGINE_UNAVAILABLE, when params are to be checked.
        """
        mutation = Mutation(self._database, request, Run)
        if (answer := await mutation.earlier()) is not None:
            return answer
        problems = Problems()
        problems.between("priority", request.priority, 0, 9)
        async with self._database.connection() as connection:
            found = await self._found(connection, caller, name)
            if found is None:
                problems.check()
                raise NotFoundError.of(request.name)
            if found.live_runs >= self._live_runs_max:
                raise _too_many(request.name, found.live_runs)
            if _is_plain(request, found):
                problems.check()
                return await self._start_at_once(connection, request, found)
        params = laid_over(found.params, request.params)
        await check_params(self._engines, problems, found.params_schema, params, given=request.params)
        problems.check()

        async def work(connection: Connection) -> Run:
            return await _read(connection, await _enqueue(connection, request, found, params))

        answer = await mutation.once(work)
        self._hints.send(WORK, OUTBOX, RUN)
        return answer

    async def _found(self, connection: Connection, caller: Caller, name: str) -> TaskToRun | None:
        return await task.to_run(
            connection, project=caller.project, name=name, owner=caller.owner_filter, count_to=self._live_runs_max
        )

    async def _start_at_once(self, connection: Connection, request: RunTaskRequest, found: TaskToRun) -> Run:
        """Nothing to check, nothing to keep: the worker is told before the answer is made."""
        async with connection.transaction():
            queued = await _enqueue(connection, request, found, laid_over(found.params, request.params))
        self._hints.send(WORK, OUTBOX, RUN)
        return await _read(connection, queued)


def _is_plain(request: RunTaskRequest, found: TaskToRun) -> bool:
    """Whether there is no answer to keep and nothing for an engine to check."""
    return not request.request_id and (found.params_schema is None or not request.params.fields)


def _too_many(name: str, live: int) -> ResourceExhaustedError:
    return ResourceExhaustedError(
        ErrorReason.LIMIT_REACHED,
        f"{name} has {live} live runs; wait for some of them to end",
        {"resource": name, "limit": live},
        retry_after=FLOOD_RETRY_SECONDS,
    )


async def _enqueue(connection: Connection, request: RunTaskRequest, found: TaskToRun, params: str) -> UUID:
    queued = await due_work_enqueue.enqueue_manual(
        connection,
        task=found.uid,
        run=found.run,
        params_json=params,
        priority=request.priority or None,
        start_time=moment_of(request.start_time) if request.HasField("start_time") else None,
    )
    if queued.run is None:
        live = f"runs/{queued.live_run}" if queued.live_run else ""
        raise FailedPreconditionError(
            ErrorReason.OVERLAP, f"{request.name} cannot run now: {queued.reason}", {"live_run": live}
        )
    return queued.run


async def _read(connection: Connection, queued: UUID) -> Run:
    record = await run.get(connection, queued, steps=False)
    if record is None:
        raise NotFoundError.of(f"runs/{queued}")
    return to_run(record)
