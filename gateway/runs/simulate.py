"""SimulateRun: executes a pipeline or a task with mocked, recorded or generated step results."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
from google.protobuf import json_format

from gateway.api.json_values import to_datetime, to_python
from gateway.api.resource_names import run_id, task_id
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from gateway.clients import EngineClient
from gateway.definitions.params import check_params, merge_params
from gateway.definitions.run_policy import deadline_ms_of, run_timeout_of
from gateway.definitions.validation import TaskValidator
from gateway.runs.access import visible_run
from gateway.runs.mocks import check_mocks, to_engine
from gateway.runs.simulated_run import definition_of, start_of, to_simulated_run
from ordinaut.errors import NotFoundError
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, Recorded
from ordinaut.store import database_clock
from ordinaut.store.database import Database
from ordinaut.store.queue import definition
from ordinaut.store.runs import run
from ordinaut.store.runs.run import RunRecord
from ordinaut.store.tasks import task
from ordinaut.store.tasks.task import TaskRecord
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.run_service_pb2 import SimulateRunRequest, SimulateRunResponse
from ordinaut.v1.task_pb2 import RunPolicy, Task

READ_TASK = "tasks:read"
READ_RUN = "runs:read"
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
RUN_IDS = UUID("00000000-0000-7000-8000-000000000000").int
"""The id of a simulated run is this plus the seed; no stored run has such an id."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The definition to simulate: of a task, or of the document in the request, then without `task`."""

    definition: Definition
    params: str
    run_timeout: timedelta
    owner: str
    task: TaskRecord | None = None


class RunSimulation:
    """Implements SimulateRun."""

    def __init__(self, database: Database, validator: TaskValidator, engines: EngineClient) -> None:
        self._database = database
        self._validator = validator
        self._engines = engines

    async def simulate(self, request: SimulateRunRequest, caller: Caller) -> SimulateRunResponse:
        """Returns the simulated run, and the steps whose results were generated.

        Raises:
            InvalidArgumentError: with all violations.
            NotFoundError: the task or the recording does not exist.
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
        initial = await self._initial_run(request, caller, subject)
        response = await self._engines.simulate_run(
            engine_pb2.SimulateRunRequest(
                definition=subject.definition,
                start=start_of(initial, subject.run_timeout),
                mocks=map(to_engine, request.mocks),
                recorded=recorded,
                seed=request.seed,
            )
        )
        return SimulateRunResponse(
            run=to_simulated_run(initial, response), generated=response.generated, warnings=response.warnings
        )

    async def _recorded(self, request: SimulateRunRequest, caller: Caller) -> list[Recorded]:
        if not request.recording:
            return []
        run_uid = run_id(request.recording, "recording")
        async with self._database.connection() as connection:
            await visible_run(connection, caller, run_uid, READ_RUN, steps=False)
            return await run.recorded(connection, run_uid)

    async def _task(self, problems: Problems, request: SimulateRunRequest, caller: Caller) -> Subject:
        name = task_id(request.task, "task")
        caller.require(READ_TASK, name)
        async with self._database.connection() as connection:
            record = await task.get(connection, project=caller.project, name=name, owner=caller.owner_filter)
            if record is None:
                problems.check()
                raise NotFoundError.of(request.task)
            stored = await definition.load(
                connection, project=record.project, owner=record.owner, task=record.uid, version=record.version
            )
        params = merge_params(record.params, request.params)
        await check_params(self._engines, problems, record.params_schema, params, overrides=request.params)
        problems.check()
        policy = json_format.Parse(record.run_policy, RunPolicy())
        return Subject(stored.message, params, run_timeout_of(policy), record.owner, record)

    async def _document(self, problems: Problems, request: SimulateRunRequest, caller: Caller) -> Subject:
        message = Task(pipeline=request.pipeline, params=request.params, run_policy=request.run_policy)
        checked = await self._validator.validate_inline(
            message, problems, project=caller.project, owner=caller.name, rights=caller.scopes
        )
        retry = orjson.loads(checked.run_policy).get("retry")
        async with self._database.connection() as connection:
            engine_definition = await definition_of(
                connection,
                caller.project,
                checked,
                retry=orjson.dumps(retry) if retry is not None else b"",
                deadline_ms=deadline_ms_of(request.run_policy),
            )
        return Subject(engine_definition, checked.params, checked.run_timeout, caller.name)

    async def _initial_run(self, request: SimulateRunRequest, caller: Caller, subject: Subject) -> RunRecord:
        """Returns the record of the run as its first claim would read it."""
        if request.HasField("start_time"):
            start_time = to_datetime(request.start_time)
        else:
            async with self._database.connection() as connection:
                start_time = await database_clock.database_now(connection)
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
            event=_event(request.event, start_time) if request.HasField("event") else None,
            scheduled_time=to_datetime(interval.start_time) if interval.HasField("start_time") else None,
            interval_end=to_datetime(interval.end_time) if interval.HasField("end_time") else None,
            state="RUNNING",
            output=None,
            error=None,
            claims=1,
            losses=0,
            cancel_reason="",
            create_time=start_time,
            start_time=start_time,
            end_time=None,
        )


def _check_request(problems: Problems, request: SimulateRunRequest) -> None:
    if request.HasField("pipeline") == bool(request.task):
        problems.add("pipeline", "exactly one of `pipeline` and `task` must be set", ErrorReason.FIELD_REQUIRED)
        problems.check()
    if request.task and request.HasField("run_policy"):
        problems.add("run_policy", "must be omitted if `task` is set: the policy of the task applies")
    if request.HasField("start_time") and not FIRST <= to_datetime(request.start_time) < LAST:
        actual = request.start_time.ToJsonString()
        problems.add("start_time", f"must be in the years 1970 to 8999 (got {actual})")
    if request.HasField("interval") and not request.interval.HasField("start_time"):
        problems.add(
            "interval.start_time", "is required: it is the scheduled time of the run", ErrorReason.FIELD_REQUIRED
        )
    check_mocks(problems, request.mocks)


def _kind(request: SimulateRunRequest) -> str:
    if request.HasField("event"):
        return "EVENT"
    if request.HasField("interval"):
        return "SCHEDULED"
    return "MANUAL" if request.task else "INLINE"


def _event(event: Event, start_time: datetime) -> str:
    """Returns the JSON of `event` in the pipeline, with every field that a stored event has."""
    fields = {
        "name": event.name or "events/simulated",
        "position": event.position,
        "topic": event.topic,
        "source": event.source,
        "subject": event.subject,
        "id": event.id,
        "data": to_python(event.data),
        "publish_time": to_datetime(event.publish_time) if event.HasField("publish_time") else start_time,
        "publisher": event.publisher,
        "depth": event.depth,
    }
    return orjson.dumps(fields, option=orjson.OPT_UTC_Z).decode()
