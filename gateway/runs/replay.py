"""ReplayRun: executes an ended run again with the results from its journal, and compares both."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

from gateway.api.json_values import parse
from gateway.api.resource_names import run_id
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from gateway.clients import EngineClient
from gateway.definitions.validation import TaskValidator
from gateway.runs.access import visible_run
from gateway.runs.compare import Comparison, End, compare, fill_patch
from gateway.runs.mocks import check_mocks, to_engine
from gateway.runs.response_size import fit_replay
from gateway.runs.simulated_run import definition_of, microseconds_of, start_of, to_simulated_run
from ordinaut.errors import FailedPreconditionError
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, JournalEntry, Recorded, RunStart
from ordinaut.limits import MAX_MESSAGE_BYTES
from ordinaut.store.database import Database
from ordinaut.store.queue import definition
from ordinaut.store.queue.definition import RunDefinition
from ordinaut.store.runs import run
from ordinaut.store.runs.run import TERMINAL, RunRecord
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import task
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_service_pb2 import ReplayRunRequest, ReplayRunResponse
from ordinaut.v1.task_pb2 import Task

READ = "runs:read"
TIME_CODES = frozenset({"TIMEOUT", "DEADLINE"})
MAX_RESPONSE_BYTES = MAX_MESSAGE_BYTES - 64 * 1024
"""Clients receive at most MAX_MESSAGE_BYTES by default."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """An ended run: its attempts, those that it inherited from the run that it retries, and its definition."""

    record: RunRecord
    inherited: list[JournalEntry]
    recorded: list[Recorded]
    definition: RunDefinition
    run_timeout: timedelta


class RunReplay:
    """Implements ReplayRun."""

    def __init__(self, database: Database, validator: TaskValidator, engines: EngineClient) -> None:
        self._database = database
        self._validator = validator
        self._engines = engines

    async def replay(self, request: ReplayRunRequest, caller: Caller) -> ReplayRunResponse:
        """Returns the replay, compared with the record.

        Raises:
            NotFoundError: the run does not exist.
            FailedPreconditionError: RUN_STATE: the run is live; TASK_STATE: its task does not exist.
            InvalidArgumentError: with all violations of mocks and document.
            UnavailableError: ENGINE_UNAVAILABLE.
        """
        run_uid = run_id(request.name)
        problems = Problems()
        check_mocks(problems, request.mocks)
        if request.present_version and request.HasField("pipeline"):
            problems.add("pipeline", "must be omitted if `present_version` is set")
            problems.check()
        async with self._database.connection() as connection:
            record = await visible_run(connection, caller, run_uid, READ, steps=False)
            recorded_run = await _recorded_run(connection, request, record)
        message = recorded_run.definition.message
        if request.HasField("pipeline"):
            message = await self._checked(request, recorded_run, problems, caller)
        problems.check()
        initial = replace(
            record, state="RUNNING", retries=None, output=None, error=None, cancel_reason="", end_time=None
        )
        response = await self._engines.simulate_run(
            engine_pb2.SimulateRunRequest(
                definition=message,
                start=_start(initial, recorded_run),
                mocks=map(to_engine, request.mocks),
                recorded=recorded_run.recorded,
                follow=True,
            )
        )
        end = End(record.state, record.output, record.error)
        recorded = [attempt.entry for attempt in recorded_run.recorded]
        comparison = await asyncio.to_thread(compare, end, recorded_run.inherited, recorded, response)
        return fit_replay(_to_response(comparison, initial, response))

    async def _checked(
        self, request: ReplayRunRequest, recorded_run: RecordedRun, problems: Problems, caller: Caller
    ) -> Definition:
        """Validates the other document with the caller's rights; returns its definition with the current tools."""
        task_message = Task(pipeline=request.pipeline)
        checked = await self._validator.validate_inline(
            task_message,
            problems,
            project=recorded_run.record.project,
            owner=caller.name,
            rights=caller.scopes,
        )
        async with self._database.connection() as connection:
            return await definition_of(
                connection,
                recorded_run.record.project,
                checked,
                retry=recorded_run.definition.message.retry,
                deadline_ms=recorded_run.definition.message.deadline_ms,
            )


def _start(initial: RunRecord, recorded_run: RecordedRun) -> RunStart:
    start = start_of(initial, recorded_run.run_timeout)
    error = recorded_run.record.error
    if error is None or parse(error)["code"] not in TIME_CODES:
        # Neither timeout nor deadline: the recorded run did not reach it, and its calls include waiting times.
        start.remaining_ms = 0
    start.journal.extend(recorded_run.inherited)
    return start


async def _recorded_run(connection: Connection, request: ReplayRunRequest, record: RunRecord) -> RecordedRun:
    if record.state not in TERMINAL:
        raise FailedPreconditionError(
            ErrorReason.RUN_STATE,
            f"{request.name} must have ended (is {record.state})",
            {"resource": request.name, "state": record.state},
        )
    version = record.task_version
    if request.present_version:
        version = await _current_version(connection, record, request.name)
    stored = await definition.load(
        connection, project=record.project, owner=record.owner, task=record.task, version=version
    )
    recorded = await run.recorded(connection, record.id)
    start_us = microseconds_of(record.start_time or record.create_time)
    inherited = [attempt for attempt in recorded if record.kind == "RETRY" and attempt.now_us < start_us]
    return RecordedRun(
        record,
        [attempt.entry for attempt in inherited],
        recorded[len(inherited) :],
        stored,
        await definition.run_timeout(connection, record.task, version),
    )


async def _current_version(connection: Connection, record: RunRecord, name: str) -> int:
    current = None
    if record.task_name:
        current = await task.get(connection, project=record.project, name=record.task_name, owner=None)
    if current is None or current.uid != record.task:
        raise FailedPreconditionError(
            ErrorReason.TASK_STATE,
            f"{name} was started without a task, or its task has been deleted",
            {"resource": name},
        )
    return current.version


def _to_response(
    comparison: Comparison, initial: RunRecord, response: engine_pb2.SimulateRunResponse
) -> ReplayRunResponse:
    message = ReplayRunResponse(
        same=comparison.same,
        steps=comparison.steps,
        end=comparison.end,
        run=to_simulated_run(initial, response),
        warnings=response.warnings,
    )
    fill_patch(message.end_difference, comparison.end_difference)
    _limit_size(message)
    return message


def _limit_size(message: ReplayRunResponse) -> None:
    """Omits the largest parts of a response that clients would refuse; the comparison itself is small."""
    if message.ByteSize() <= MAX_RESPONSE_BYTES:
        return
    del message.run.steps[:]
    message.run.ClearField("output")
    message.run.ClearField("params")
    reason = f"because the response would exceed {MAX_RESPONSE_BYTES} bytes"
    message.warnings.append(f"`run` is without its steps, output and params, {reason}")
    if message.ByteSize() > MAX_RESPONSE_BYTES:
        for step in message.steps:
            del step.difference[:]
        del message.end_difference[:]
        message.warnings.append(f"differences are omitted, {reason}")
