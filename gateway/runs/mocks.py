"""Validates mocks and converts them to the engine's message."""

import re
from collections.abc import Sequence
from typing import Any

import orjson
from google.protobuf import json_format

from gateway.api.json_values import to_json
from gateway.api.violations import Problems, at_most, got
from gateway.definitions.run_policy import YEAR_SECONDS
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.limits import MAX_ERROR_CODE_LENGTH
from ordinaut.names import DOTTED
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.mock_pb2 import Mock
from ordinaut.v1.run_pb2 import RunError

MOCKS_MAX = 1000
ATTEMPTS_MAX = 101  # the first attempt and at most a hundred retries
TIMES_MAX = 1_000_000
STEP = re.compile(r"[a-z][a-z0-9_]*(\[(\*|\d+)\]){0,2}(\.[a-z][a-z0-9_]*(\[(\*|\d+)\]){0,2})*(\?(lookup|attempt-\d+))?")
STEP_MAX = 1000


def check_mocks(problems: Problems, mocks: Sequence[Mock]) -> None:
    """Adds the violations of mocks."""
    if len(mocks) > MOCKS_MAX:
        problems.add("mocks", at_most(MOCKS_MAX, "mocks", len(mocks)), ErrorReason.TOO_LARGE)
        return
    for index, mock in enumerate(mocks):
        _check(problems, mock, f"mocks[{index}]")


def to_engine(mock: Mock) -> engine_pb2.Mock:
    """Converts a mock; JSON becomes text."""
    message = engine_pb2.Mock(step=mock.step, tool=mock.tool, attempts=mock.attempts, times=mock.times)
    if mock.HasField("output"):
        message.output = to_json(mock.output).encode()
    if mock.HasField("error"):
        message.error = orjson.dumps(_error(mock.error))
    if mock.HasField("duration"):
        message.duration_ms = mock.duration.ToMilliseconds()
    return message


def _check(problems: Problems, mock: Mock, field: str) -> None:
    if not mock.step and not mock.tool:
        problems.add(field, "must set `step` or `tool`", ErrorReason.FIELD_REQUIRED)
    if mock.step and (len(mock.step) > STEP_MAX or not STEP.fullmatch(mock.step)):
        problems.add(
            f"{field}.step", f"must be a step path such as `a`, `loop[*].b` or `a.on_error.note` {got(mock.step)}"
        )
    if mock.tool and not DOTTED.fullmatch(mock.tool):
        problems.add(f"{field}.tool", f"must be the name of a tool such as `weather.forecast` {got(mock.tool)}")
    for place, attempt in enumerate(mock.attempts):
        problems.between(f"{field}.attempts[{place}]", attempt, 1, ATTEMPTS_MAX)
    problems.between(f"{field}.times", mock.times, 0, TIMES_MAX)
    if mock.WhichOneof("answer") is None and not mock.HasField("duration"):
        problems.add(field, "must set `output`, `error` or `duration`", ErrorReason.FIELD_REQUIRED)
    if mock.HasField("error"):
        problems.text(f"{field}.error.code", mock.error.code, MAX_ERROR_CODE_LENGTH)
        if not mock.error.code:
            problems.add(f"{field}.error.code", "is required, for example TOOL_ERROR", ErrorReason.FIELD_REQUIRED)
    if mock.HasField("duration") and not 0 <= mock.duration.ToMilliseconds() <= YEAR_SECONDS * 1000:
        actual = mock.duration.ToJsonString()
        problems.add(f"{field}.duration", f"must be between 0s and {YEAR_SECONDS}s (got {actual})")


def _error(error: RunError) -> dict[str, Any]:
    """Returns an error in the form of the journal, without unset fields."""
    fields: dict[str, Any] = json_format.MessageToDict(error, preserving_proto_field_name=True)
    return {key: fields[key] for key in ("code", "message", "pointer", "retryable", "details") if key in fields}
