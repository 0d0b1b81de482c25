"""Converts the start of a simulated run to the engine's message, and the engine's response to a run."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from gateway.runs.conversion import to_run
from ordinaut.clock import EPOCH
from ordinaut.internal.v1.pipeline_engine_service_pb2 import (
    Definition,
    JournalEntry,
    RunStart,
    SimulateRunResponse,
    Wait,
)
from ordinaut.store import tool
from ordinaut.store.runs.run import RunRecord, described
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import task
from ordinaut.v1.run_pb2 import Run

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
WAITING = "WAITING"


def to_simulated_run(initial: RunRecord, response: SimulateRunResponse) -> Run:
    """Returns the run as it would have been stored; `initial` is its record before the first step."""
    pending = {entry.path: entry for entry in response.unanswered}
    waits = [_wait(wait, pending[wait.path]) for wait in response.waits]
    steps = [*response.steps, *(entry for entry in response.unanswered if entry.state == WAITING)]
    record = replace(
        initial,
        state=response.state,
        output=response.output.decode() or None,
        error=response.error.decode() or None,
        claims=response.claims,
        end_time=time_of(response.end_us) if response.state in ENDED else None,
        steps=orjson.dumps([_step(entry) for entry in steps]).decode(),
        waits=orjson.dumps(waits).decode() if waits else None,
    )
    return to_run(record)


def start_of(initial: RunRecord, run_timeout: timedelta) -> RunStart:
    """Returns the engine's message that starts the run."""
    now_us = microseconds_of(initial.start_time or initial.create_time)
    return RunStart(
        root=initial.root,
        params=initial.params.encode(),
        event=(initial.event or "").encode(),
        run=described(initial),
        now_us=now_us,
        remaining_ms=round(run_timeout.total_seconds() * 1000),
    )


async def definition_of(
    connection: Connection, project: str, checked: task.Definition, *, retry: bytes, deadline_ms: int = 0
) -> Definition:
    """Returns the engine's definition of a validated document, with the project's tools.

    `retry` is JSON or empty; `deadline_ms` is that of the run policy, 0 without one.
    """
    tools = await tool.named(connection, project, checked.tools)
    return Definition(
        pipeline=checked.pipeline.encode(),
        tools=[text.encode() for text in tools.definitions],
        retry=retry,
        project=project,
        deadline_ms=deadline_ms,
    )


def time_of(microseconds: int) -> datetime:
    """Converts microseconds since 1970 to UTC.

    >>> time_of(1_500_000).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(time: datetime) -> int:
    """Converts to microseconds since 1970."""
    return (time - EPOCH) // timedelta(microseconds=1)


def _step(entry: JournalEntry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "attempt": entry.attempt,
        "state": entry.state,
        "tool": entry.tool,
        "input": _json(entry.input),
        "output": _json(entry.output),
        "error": _json(entry.error),
        "start_time": time_of(entry.start_us),
        "end_time": time_of(entry.end_us),
    }


def _json(text: bytes) -> Any:
    return orjson.Fragment(text) if text else None


def _wait(wait: Wait, entry: JournalEntry) -> dict[str, Any]:
    return {
        "step": wait.path,
        "kind": wait.kind,
        "topic": wait.topic,
        "deadline": time_of(wait.deadline_us) if wait.HasField("deadline_us") else None,
        "create_time": time_of(entry.start_us),
        "approval": "",
        "condition_error": "",
        "run": None,
    }
