"""Answers that the caller gives: the first that fits and is not used up."""

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
class Given:
    """What a mock says: an output (as a list of one), or a failure, or neither; how long it takes, if it says so."""

    output: tuple[Any, ...]
    failure: Failure | None
    duration_us: int | None


class Mocks:
    """All mocks of a simulation, and which of them have been of use."""

    def __init__(self, mocks: Iterable[engine_pb2.Mock]) -> None:
        self._mocks = [_Mock(mock) for mock in mocks]

    def take(self, path: str, tool: str, attempt: int) -> Given | None:
        """The answer to an attempt, which uses it up once more."""
        for mock in self._mocks:
            if mock.fits(path, tool, attempt):
                mock.used += 1
                return mock.given
        return None

    def unused(self) -> Iterator[int]:
        """The places of those that never answered."""
        return (place for place, mock in enumerate(self._mocks) if not mock.used)


class _Mock:
    def __init__(self, mock: engine_pb2.Mock) -> None:
        self.used = 0
        self.given = Given(
            output=(orjson.loads(mock.output),) if mock.output else (),
            failure=_failure(mock.error) if mock.error else None,
            duration_us=mock.duration_ms * 1000 if mock.HasField("duration_ms") else None,
        )
        self._step = re.compile(re.escape(mock.step).replace(ANY_INDEX, INDEX)) if mock.step else None
        self._tool = mock.tool
        self._attempts = frozenset(mock.attempts)
        self._times = mock.times

    def fits(self, path: str, tool: str, attempt: int) -> bool:
        """Whether it answers this attempt."""
        if self._times and self.used >= self._times:
            return False
        if self._step is not None and not self._step.fullmatch(path):
            return False
        return self._tool in {"", tool} and (not self._attempts or attempt in self._attempts)


def _failure(text: bytes) -> Failure:
    """The error as a tool's: whether it may pass is known of some codes."""
    values = orjson.loads(text)
    return Failure(
        code=values["code"],
        message=values.get("message", ""),
        pointer=values.get("pointer", ""),
        retryable=values.get("retryable", values["code"] in RETRYABLE),
        details=values.get("details", {}),
        may_have_happened=values["code"] == TIMEOUT,
    )
