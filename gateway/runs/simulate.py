"""SimulateRun: a pipeline or a task, executed by an engine on answers that nobody really gave."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
from google.protobuf import json_format

from gateway.api.caller import Caller
from gateway.api.json_values import moment_of, to_python
from gateway.api.resource_names import run_id, task_id
from gateway.api.violations import Problems
from gateway.clients import Engines
from gateway.definitions.params import check_params, laid_over
from gateway.definitions.run_policy import run_timeout_of
from gateway.definitions.validation import TaskCheck
from gateway.runs.access import visible_run
from gateway.runs.mocks import check_mocks, to_engine
from gateway.runs.simulated_run import definition_of, simulated_run, start_of
from ordinaut.errors import NotFoundError
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, Recorded
from ordinaut.store import database_clock, definition, run, task
from ordinaut.store.database import Database
from ordinaut.store.run import RunRecord
from ordinaut.store.task import TaskRecord
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.run_service_pb2 import SimulateRunRequest, SimulateRunResponse
from ordinaut.v1.task_pb2 import RunPolicy, Task

READ_TASK = "tasks:read"
READ_RUN = "runs:read"
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
RUN_IDS = UUID("00000000-0000-7000-8000-000000000000").int
"""A simulated run's id is this and its seed: no real run has one of them."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is simulated: of a task, or of the caller's own document, then without `task`."""

    definition: Definition
    params: str
    run_timeout: timedelta
    owner: str
    task: TaskRecord | None = None


class RunSimulation:
    """SimulateRun."""

    def __init__(self, database: Database, check: TaskCheck, engines: Engines) -> None:
        self._database = database
        self._check = check
        self._engines = engines

    async def simulate(self, request: SimulateRunRequest, caller: Caller) -> SimulateRunResponse:
        """The run that the request describes, and what is made up in it.

        Raises:
            InvalidArgumentError: with every problem.
            NotFoundError: there is no such task or recording.
            PermissionDeniedError: the caller may not call a tool.
            UnavailableError: ENGINE_UNAVAILABLE.
        """
        problems = Problems()
        _check_request(problems, request)
        recorded = await self._recorded(request, caller)
        if request.task:
            subject = await self._task(problems, request, caller)
        else:
            subject = await self._document(problems, request, caller)
        begun = await self._begun(request, caller, subject)
        answer = await self._engines.simulate_run(
            engine_pb2.SimulateRunRequest(
                definition=subject.definition,
                start=start_of(begun, subject.run_timeout),
                mocks=map(to_engine, request.mocks),
                recorded=recorded,
                seed=request.seed,
            )
        )
        return SimulateRunResponse(
            run=simulated_run(begun, answer), generated=answer.generated, warnings=answer.warnings
        )

    async def _recorded(self, request: SimulateRunRequest, caller: Caller) -> list[Recorded]:
        if not request.recording:
            return []
        wanted = run_id(request.recording, "recording")
        async with self._database.connection() as connection:
            await visible_run(connection, caller, wanted, READ_RUN, steps=False)
            return await run.recorded(connection, wanted)

    async def _task(self, problems: Problems, request: SimulateRunRequest, caller: Caller) -> Subject:
        name = task_id(request.task, "task")
        caller.require(READ_TASK, name)
        async with self._database.connection() as connection:
            record = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if record is None:
                problems.check()
                raise NotFoundError.of(request.task)
            loaded = await definition.load(
                connection, project=record.project, owner=record.owner, task=record.uid, version=record.version
            )
        params = laid_over(record.params, request.params)
        await check_params(self._engines, problems, record.params_schema, params, given=request.params)
        problems.check()
        policy = json_format.Parse(record.run_policy, RunPolicy())
        return Subject(loaded.message, params, run_timeout_of(policy), record.owner, record)

    async def _document(self, problems: Problems, request: SimulateRunRequest, caller: Caller) -> Subject:
        wanted = Task(pipeline=request.pipeline, params=request.params, run_policy=request.run_policy)
        checked = await self._check.check_inline(wanted, problems, project=caller.project, rights=caller.scopes)
        retry = orjson.loads(checked.run_policy).get("retry")
        async with self._database.connection() as connection:
            message = await definition_of(
                connection, caller.project, checked, retry=orjson.dumps(retry) if retry is not None else b""
            )
        return Subject(message, checked.params, checked.run_timeout, caller.name)

    async def _begun(self, request: SimulateRunRequest, caller: Caller, subject: Subject) -> RunRecord:
        """The run as its first claim would find it."""
        if request.HasField("start_time"):
            began = moment_of(request.start_time)
        else:
            async with self._database.connection() as connection:
                began = await database_clock.database_now(connection)
        id_ = UUID(int=RUN_IDS + (request.seed & 0xFFFFFFFF))
        record, interval = subject.task, request.interval
        return RunRecord(
            id=id_,
            project=caller.project,
            task=record.uid if record else id_,
            task_name=record.name if record else "",
            task_version=record.version if record else 0,
            owner=subject.owner,
            labels=record.labels if record else "{}",
            kind=_kind(request),
            trigger="",
            occurrence=f"run:{id_}",
            root=f"{record.uid}/run:{id_}" if record else f"run:{id_}",
            params=subject.params,
            event=_event(request.event, began) if request.HasField("event") else None,
            scheduled_time=moment_of(interval.start_time) if interval.HasField("start_time") else None,
            interval_end=moment_of(interval.end_time) if interval.HasField("end_time") else None,
            state="RUNNING",
            output=None,
            error=None,
            claims=1,
            losses=0,
            cancel_reason="",
            create_time=began,
            start_time=began,
            end_time=None,
            retry_of=None,
            retries=None,
            backfill=None,
            parent=None,
            waits=None,
            steps=None,
        )


def _check_request(problems: Problems, request: SimulateRunRequest) -> None:
    if request.HasField("pipeline") == bool(request.task):
        problems.add("pipeline", "either `pipeline` or `task` is needed", ErrorReason.FIELD_REQUIRED)
        problems.check()
    if request.task and request.HasField("run_policy"):
        problems.add("run_policy", "has no meaning beside `task`, which has its own")
    if request.HasField("start_time") and not FIRST <= moment_of(request.start_time) < LAST:
        problems.add("start_time", "must be a moment in the years 1970 to 8999")
    if request.HasField("interval") and not request.interval.HasField("start_time"):
        problems.add("interval.start_time", "is needed: the scheduled time", ErrorReason.FIELD_REQUIRED)
    check_mocks(problems, request.mocks)


def _kind(request: SimulateRunRequest) -> str:
    if request.HasField("event"):
        return "EVENT"
    if request.HasField("interval"):
        return "SCHEDULED"
    return "MANUAL" if request.task else "INLINE"


def _event(event: Event, began: datetime) -> str:
    """What `event` is in the pipeline, as JSON: complete, as the log would have it."""
    told = {
        "name": event.name or "events/simulated",
        "position": event.position,
        "topic": event.topic,
        "source": event.source,
        "subject": event.subject,
        "id": event.id,
        "data": to_python(event.data),
        "publish_time": moment_of(event.publish_time) if event.HasField("publish_time") else began,
        "publisher": event.publisher,
        "depth": event.depth,
    }
    return orjson.dumps(told, option=orjson.OPT_UTC_Z).decode()
