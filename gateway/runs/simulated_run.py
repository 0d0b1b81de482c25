"""How an engine is told of a run to simulate, and what it says, as the message that callers see."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from gateway.runs.conversion import to_run
from ordinaut.clock import EPOCH, TICK
from ordinaut.internal.v1.pipeline_engine_service_pb2 import (
    Definition,
    JournalEntry,
    RunStart,
    SimulateRunResponse,
    Wait,
)
from ordinaut.store import task, tool
from ordinaut.store.run import RunRecord, described
from ordinaut.store.sql import Connection
from ordinaut.v1.run_pb2 import Run

ENDED = frozenset({"SUCCEEDED", "FAILED"})
WAITING = "WAITING"


def simulated_run(begun: RunRecord, answer: SimulateRunResponse) -> Run:
    """The run as it would be stored, had it really been; `begun` is how it began."""
    asked = {entry.path: entry for entry in answer.unanswered}
    waits = [_wait(wait, asked[wait.path]) for wait in answer.waits]
    steps = [*answer.steps, *(entry for entry in answer.unanswered if entry.state == WAITING)]
    record = replace(
        begun,
        state=answer.state,
        output=answer.output.decode() or None,
        error=answer.error.decode() or None,
        claims=answer.claims,
        end_time=moment_of_us(answer.end_us) if answer.state in ENDED else None,
        steps=orjson.dumps([_step(entry) for entry in steps]).decode(),
        waits=orjson.dumps(waits).decode() if waits else None,
    )
    return to_run(record)


def start_of(begun: RunRecord, run_timeout: timedelta) -> RunStart:
    """How an engine is told that the run begins."""
    now_us = microseconds_of(begun.start_time or begun.create_time)
    return RunStart(
        root=begun.root,
        params=begun.params.encode(),
        event=(begun.event or "").encode(),
        run=described(begun),
        now_us=now_us,
        created_us=microseconds_of(begun.create_time),
        remaining_ms=round(run_timeout.total_seconds() * 1000),
    )


async def definition_of(connection: Connection, project: str, checked: task.Definition, *, retry: bytes) -> Definition:
    """What a checked document executes, with the project's tools; `retry` is its default, JSON or empty."""
    tools = await tool.named(connection, project, checked.tools)
    return Definition(
        pipeline=checked.pipeline.encode(), tools=[text.encode() for text in tools.definitions], retry=retry
    )


def moment_of_us(microseconds: int) -> datetime:
    """The moment so many microseconds after 1970 began, UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


def microseconds_of(moment: datetime) -> int:
    """How many microseconds have passed since 1970 began."""
    return (moment - EPOCH) // TICK


def _step(entry: JournalEntry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "attempt": entry.attempt,
        "state": entry.state,
        "tool": entry.tool,
        "input": _json(entry.input),
        "output": _json(entry.output),
        "error": _json(entry.error),
        "start_time": moment_of_us(entry.start_us),
        "end_time": moment_of_us(entry.end_us),
    }


def _json(text: bytes) -> Any:
    return orjson.Fragment(text) if text else None


def _wait(wait: Wait, entry: JournalEntry) -> dict[str, Any]:
    return {
        "step": wait.path,
        "kind": wait.kind,
        "topic": wait.topic,
        "deadline": moment_of_us(wait.deadline_us) if wait.HasField("deadline_us") else None,
        "create_time": moment_of_us(entry.start_us),
        "approval": "",
        "run": None,
    }
