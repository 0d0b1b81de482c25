"""Simulates documents without a gateway."""

from collections.abc import Sequence
from typing import Any

import orjson

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from pipeline_engine.simulation.simulation import simulate
from tests.unit.engine.pipelines import TOOL_TEXTS
from tests.unit.engine.world import NOW_US


def mock(step: str = "", tool: str = "", **says: Any) -> pb.Mock:
    """Returns a mock; `output` and `error` are Python data."""
    for key in ("output", "error"):
        if key in says:
            says[key] = orjson.dumps(says[key])
    return pb.Mock(step=step, tool=tool, **says)


def simulated(
    document: Any, *mocks: pb.Mock, tools: Sequence[bytes] = TOOL_TEXTS, params: Any = None, **more: Any
) -> pb.SimulateRunResponse:
    """Simulates a document."""
    start = pb.RunStart(
        root="root",
        params=orjson.dumps(params or {}),
        event=b'{"data":{"x":1}}',
        run=b'{"name":"runs/r"}',
        now_us=NOW_US,
        remaining_ms=more.pop("remaining_ms", 0),
    )
    definition = pb.Definition(pipeline=orjson.dumps(document), tools=tools)
    return simulate(pb.SimulateRunRequest(definition=definition, start=start, mocks=mocks, **more))


def steps_of(answer: pb.SimulateRunResponse) -> list[tuple[str, int, str]]:
    """Returns path, attempt and state of every attempt."""
    return [(entry.path, entry.attempt, entry.state) for entry in answer.steps]


def output_of(answer: pb.SimulateRunResponse, path: str) -> Any:
    """Returns the output of the last attempt of a step."""
    return next(orjson.loads(entry.output) for entry in reversed(answer.steps) if entry.path == path)
