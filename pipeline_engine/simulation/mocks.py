"""Mocked results that the caller provides: for each attempt the first mock that matches and is not used up."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from pipeline_engine.data.failure import TIMEOUT, TOOL_UNAVAILABLE, Failure

ANY_INDEX = re.escape("[*]")
INDEX = r"\[\d+\]"
RETRYABLE = frozenset({TOOL_UNAVAILABLE, TIMEOUT})


@dataclass(frozen=True, slots=True)
class MockResult:
    """The result of a mock: an output (as a tuple of one), or a failure, or neither; and its duration if set."""

    output: tuple[Any, ...]
    failure: Failure | None
    duration_us: int | None


class Mocks:
    """All mocks of a simulation, with the number of their uses."""

    def __init__(self, mocks: Iterable[engine_pb2.Mock]) -> None:
        self._mocks = [_Mock(mock) for mock in mocks]

    def take(self, path: str, tool: str, attempt: int) -> MockResult | None:
        """Returns the result for an attempt and counts the use of its mock."""
        for mock in self._mocks:
            if mock.matches(path, tool, attempt):
                mock.uses += 1
                return mock.result
        return None

    def unused(self) -> Iterator[int]:
        """Yields the positions of the mocks that were never used."""
        return (position for position, mock in enumerate(self._mocks) if not mock.uses)


class _Mock:
    def __init__(self, mock: engine_pb2.Mock) -> None:
        self.uses = 0
        self.result = MockResult(
            output=(orjson.loads(mock.output),) if mock.output else (),
            failure=_failure(mock.error) if mock.error else None,
            duration_us=mock.duration_ms * 1000 if mock.HasField("duration_ms") else None,
        )
        self._step = re.compile(re.escape(mock.step).replace(ANY_INDEX, INDEX)) if mock.step else None
        self._tool = mock.tool
        self._attempts = frozenset(mock.attempts)
        self._times = mock.times

    def matches(self, path: str, tool: str, attempt: int) -> bool:
        """Whether the mock applies to an attempt and is not used up."""
        if self._times and self.uses >= self._times:
            return False
        if self._step is not None and not self._step.fullmatch(path):
            return False
        return self._tool in {"", tool} and (not self._attempts or attempt in self._attempts)


def _failure(text: bytes) -> Failure:
    """Reads a tool's error; some codes are retryable by default."""
    values = orjson.loads(text)
    return Failure(
        code=values["code"],
        message=values.get("message", ""),
        pointer=values.get("pointer", ""),
        retryable=values.get("retryable", values["code"] in RETRYABLE),
        details=values.get("details", {}),
        may_have_happened=values["code"] == TIMEOUT,
    )
