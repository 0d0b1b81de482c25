"""Mocks as callers write them: checked, and as an engine takes them."""

import re
from collections.abc import Sequence
from typing import Any

import orjson
from google.protobuf import json_format

from gateway.api.json_values import to_json
from gateway.api.violations import Problems
from gateway.definitions.run_policy import YEAR_SECONDS
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.limits import MAX_ERROR_CODE_LENGTH, MAX_RETRIES
from ordinaut.names import DOTTED
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.mock_pb2 import Mock
from ordinaut.v1.run_pb2 import RunError

MOCKS_MAX = 1000
ATTEMPTS_MAX = MAX_RETRIES + 1
TIMES_MAX = 1_000_000
STEP = re.compile(r"[a-z][a-z0-9_]*(\[(\*|\d+)\])?(\.[a-z][a-z0-9_]*(\[(\*|\d+)\])?)*(\?(lookup|attempt-\d+))?")
STEP_MAX = 1000


def check_mocks(problems: Problems, mocks: Sequence[Mock]) -> None:
    """Adds what is wrong with them."""
    if len(mocks) > MOCKS_MAX:
        problems.add("mocks", f"may hold {MOCKS_MAX} mocks, not {len(mocks)}", ErrorReason.TOO_LARGE)
        return
    for index, mock in enumerate(mocks):
        _check(problems, mock, f"mocks[{index}]")


def to_engine(mock: Mock) -> engine_pb2.Mock:
    """The mock with its JSON as text."""
    told = engine_pb2.Mock(step=mock.step, tool=mock.tool, attempts=mock.attempts, times=mock.times)
    if mock.HasField("output"):
        told.output = to_json(mock.output).encode()
    if mock.HasField("error"):
        told.error = orjson.dumps(_error(mock.error))
    if mock.HasField("duration"):
        told.duration_ms = mock.duration.ToMilliseconds()
    return told


def _check(problems: Problems, mock: Mock, field: str) -> None:
    if not mock.step and not mock.tool:
        problems.add(field, "must name a step or a tool", ErrorReason.FIELD_REQUIRED)
    if mock.step and (len(mock.step) > STEP_MAX or not STEP.fullmatch(mock.step)):
        problems.add(f"{field}.step", "must be a path of a step such as `a`, `loop[*].b` or `a.on_error.note`")
    if mock.tool and not DOTTED.fullmatch(mock.tool):
        problems.add(f"{field}.tool", "must be a tool's full name such as `weather.forecast`")
    for place, attempt in enumerate(mock.attempts):
        problems.between(f"{field}.attempts[{place}]", attempt, 1, ATTEMPTS_MAX)
    problems.between(f"{field}.times", mock.times, 0, TIMES_MAX)
    if mock.WhichOneof("answer") is None and not mock.HasField("duration"):
        problems.add(field, "must say an output, an error or a duration", ErrorReason.FIELD_REQUIRED)
    if mock.HasField("error"):
        problems.text(f"{field}.error.code", mock.error.code, MAX_ERROR_CODE_LENGTH)
        if not mock.error.code:
            problems.add(f"{field}.error.code", "is needed, such as TOOL_ERROR", ErrorReason.FIELD_REQUIRED)
    if mock.HasField("duration") and not 0 <= mock.duration.ToMilliseconds() <= YEAR_SECONDS * 1000:
        problems.add(f"{field}.duration", "must be between 0 and a year")


def _error(error: RunError) -> dict[str, Any]:
    """As the journal has it; what is unset is not in it."""
    found: dict[str, Any] = json_format.MessageToDict(error, preserving_proto_field_name=True)
    return {key: found[key] for key in ("code", "message", "pointer", "retryable", "details") if key in found}
