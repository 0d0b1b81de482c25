"""ReplayRun: an ended run once more on its own journal, and the two side by side."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

from gateway.api.json_values import parse
from gateway.api.resource_names import run_id
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from gateway.clients import Engines
from gateway.definitions.validation import TaskCheck
from gateway.runs.access import visible_run
from gateway.runs.compare import Comparison, End, compare, fill_patch
from gateway.runs.mocks import check_mocks, to_engine
from gateway.runs.simulated_run import definition_of, microseconds_of, simulated_run, start_of
from ordinaut.errors import FailedPreconditionError
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, JournalEntry, Recorded
from ordinaut.store import definition, run, task
from ordinaut.store.database import Database
from ordinaut.store.definition import Loaded
from ordinaut.store.run import TERMINAL, RunRecord
from ordinaut.store.sql import Connection
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_service_pb2 import ReplayRunRequest, ReplayRunResponse
from ordinaut.v1.task_pb2 import Task

READ = "runs:read"


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of an ended run: its attempts, those that it took over from another run apart, and what ran."""

    record: RunRecord
    taken: list[JournalEntry]
    recorded: list[Recorded]
    loaded: Loaded
    run_timeout: timedelta


class RunReplay:
    """ReplayRun."""

    def __init__(self, database: Database, check: TaskCheck, engines: Engines) -> None:
        self._database = database
        self._check = check
        self._engines = engines

    async def replay(self, request: ReplayRunRequest, caller: Caller) -> ReplayRunResponse:
        """The replay beside the record.

        Raises:
            NotFoundError: there is no such run.
            FailedPreconditionError: RUN_STATE: it is live; TASK_STATE: its task has no present version.
            InvalidArgumentError: with every problem of mocks and document.
            UnavailableError: ENGINE_UNAVAILABLE.
        """
        wanted = run_id(request.name)
        problems = Problems()
        check_mocks(problems, request.mocks)
        if request.present_version and request.HasField("pipeline"):
            problems.add("pipeline", "has no meaning beside `present_version`")
            problems.check()
        async with self._database.connection() as connection:
            record = await visible_run(connection, caller, wanted, READ, steps=False)
            past = await _past(connection, request, record)
        message = past.loaded.message
        if request.HasField("pipeline"):
            message = await self._checked(request, past, problems)
        problems.check()
        begun = replace(record, state="RUNNING", retries=None, output=None, error=None, cancel_reason="", end_time=None)
        start = start_of(begun, past.run_timeout)
        if record.error is None or parse(record.error)["code"] != "TIMEOUT":
            start.remaining_ms = 0  # what came in time then does so now; the calls of the record wait for people too
        start.journal.extend(past.taken)
        answer = await self._engines.simulate_run(
            engine_pb2.SimulateRunRequest(
                definition=message,
                start=start,
                mocks=map(to_engine, request.mocks),
                recorded=past.recorded,
                follow=True,
            )
        )
        end, recorded = End(record.state, record.output, record.error), [one.entry for one in past.recorded]
        compared = await asyncio.to_thread(compare, end, past.taken, recorded, answer)
        return _told(compared, begun, answer)

    async def _checked(self, request: ReplayRunRequest, past: Past, problems: Problems) -> Definition:
        """Another document with the rights, the retries and the tools that the run would have today."""
        wanted = Task(pipeline=request.pipeline)
        checked = await self._check.check_inline(
            wanted, problems, project=past.record.project, rights=past.loaded.scopes
        )
        async with self._database.connection() as connection:
            return await definition_of(connection, past.record.project, checked, retry=past.loaded.message.retry)


async def _past(connection: Connection, request: ReplayRunRequest, record: RunRecord) -> Past:
    if record.state not in TERMINAL:
        raise FailedPreconditionError(
            ErrorReason.RUN_STATE,
            f"{request.name} is {record.state}; only runs that have ended are replayed",
            {"resource": request.name, "state": record.state},
        )
    version = record.task_version
    if request.present_version:
        version = await _present_version(connection, record, request.name)
    loaded = await definition.load(
        connection, project=record.project, owner=record.owner, task=record.task, version=version
    )
    recorded = await run.recorded(connection, record.id)
    began_us = microseconds_of(record.start_time or record.create_time)
    taken = [one for one in recorded if record.kind == "RETRY" and one.now_us < began_us]
    return Past(
        record,
        [one.entry for one in taken],
        recorded[len(taken) :],
        loaded,
        await definition.run_timeout(connection, record.task, version),
    )


async def _present_version(connection: Connection, record: RunRecord, name: str) -> int:
    found = None
    if record.task_name:
        found = await task.get(connection, project=record.project, name=record.task_name, owner=None)
    if found is None or found.uid != record.task:
        raise FailedPreconditionError(
            ErrorReason.TASK_STATE, f"the task of {name} is deleted, or it never had one", {"resource": name}
        )
    return found.version


def _told(compared: Comparison, begun: RunRecord, answer: engine_pb2.SimulateRunResponse) -> ReplayRunResponse:
    told = ReplayRunResponse(
        same=compared.same,
        steps=compared.steps,
        end=compared.end,
        run=simulated_run(begun, answer),
        warnings=answer.warnings,
    )
    fill_patch(told.end_difference, compared.end_difference)
    return told
