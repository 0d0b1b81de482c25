"""What the engine has to say on one stream: everything that comes up in one turn of the loop goes in one frame."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from ordinaut.internal.v1.pipeline_engine_service_pb2 import (
    Effect,
    EngineFrame,
    JournalEntry,
    RunDelayed,
    RunFinished,
    RunSuspended,
    StepFinished,
)
from ordinaut.limits import FRAME_BYTES
from pipeline_engine import metrics
from pipeline_engine.interpreter.journal import RUNNING
from pipeline_engine.interpreter.requests import Commit, Delayed, Entries, Finished, Perform, Suspended


class Outbox:
    """Frames on their way; one writer takes them from `frames`."""

    def __init__(self) -> None:
        self._frame = EngineFrame()
        self._full: deque[EngineFrame] = deque()
        self._bytes = 0
        self._used = False
        self._wake = asyncio.Event()
        self._closed: BaseException | bool = False

    def credit(self, runs: int) -> None:
        """Lets the worker start so many more."""
        self._frame.credit += runs
        self._written(0)

    def commit(self, handle: int, request: Commit) -> None:
        """Asks for entries to be made durable."""
        self._frame.finished.append(StepFinished(handle=handle, entries=request.entries))
        self._written(_weight(request.entries))

    def perform(self, handle: int, request: Perform) -> None:
        """Asks for an effect."""
        self._frame.effects.append(
            Effect(handle=handle, entries=request.entries, step=request.step, idempotency_key=request.idempotency_key)
        )
        self._written(_weight(request.entries) + len(request.step.input))

    def finish(self, handle: int, ending: Finished) -> None:
        """Reports the end of a run."""
        self._frame.runs.append(
            RunFinished(
                handle=handle, entries=ending.entries, state=ending.state, output=ending.output, error=ending.error
            )
        )
        self._written(_weight(ending.entries) + len(ending.output))

    def delay(self, handle: int, ending: Delayed) -> None:
        """Reports that a run goes on later."""
        self._frame.delays.append(RunDelayed(handle=handle, entries=ending.entries, delay_ms=ending.delay_ms))
        self._written(_weight(ending.entries))

    def suspend(self, handle: int, ending: Suspended) -> None:
        """Reports that a run goes on when something has happened."""
        self._frame.suspensions.append(
            RunSuspended(handle=handle, entries=ending.entries, waits=ending.waits, wake_ms=ending.wake_ms)
        )
        self._written(_weight(ending.entries) + sum(len(wait.input) + len(wait.match) for wait in ending.waits))

    def _written(self, weight: int) -> None:
        self._used = True
        self._bytes += weight
        if self._bytes > FRAME_BYTES:
            self._full.append(self._frame)
            self._frame, self._bytes, self._used = EngineFrame(), 0, False
        if not self._wake.is_set():
            self._wake.set()

    def close(self, failure: BaseException | None = None) -> None:
        """Ends `frames` once everything is taken, with `failure` raised there if there is one."""
        self._closed = failure or True
        self._wake.set()

    async def frames(self) -> AsyncIterator[EngineFrame]:
        """Every frame, until the outbox is closed."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._full:
                yield self._full.popleft()
            if self._used:
                frame, self._frame = self._frame, EngineFrame()
                self._bytes, self._used = 0, False
                yield frame
            elif isinstance(self._closed, BaseException):
                raise self._closed
            elif self._closed:
                return
            if self._closed:
                self._wake.set()


def _weight(entries: Entries) -> int:
    weight = 0
    for entry in entries:
        weight += len(entry.input) + len(entry.output) + len(entry.error)
        _observe(entry)
    return weight


def _observe(entry: JournalEntry) -> None:
    if entry.state != RUNNING:  # it has not ended
        metrics.STEP_STATES[entry.state].observe((entry.end_us - entry.start_us) / 1_000_000)
