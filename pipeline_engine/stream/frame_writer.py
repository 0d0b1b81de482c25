"""Collects the engine's messages of one stream into frames: all messages of one event loop iteration in one frame."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.limits import FRAME_BYTES
from pipeline_engine import metrics
from pipeline_engine.interpreter.journal import UNENDED
from pipeline_engine.interpreter.requests import Commit, Delayed, Effect, Entries, Finished, Suspended


class FrameWriter:
    """Unsent frames; one consumer reads them from `frames`."""

    def __init__(self) -> None:
        self._frame = engine_pb2.EngineFrame()
        self._full: deque[engine_pb2.EngineFrame] = deque()
        self._bytes = 0
        self._used = False
        self._wake = asyncio.Event()
        self._closed: BaseException | bool = False

    def credit(self, runs: int) -> None:
        """Allows the worker to start `runs` more runs."""
        self._frame.credit += runs
        self._added(0)

    def commit(self, handle: int, request: Commit) -> None:
        """Asks the worker to make entries durable."""
        self._frame.finished.append(engine_pb2.StepFinished(handle=handle, entries=request.entries))
        self._added(_weight(request.entries))

    def effect(self, handle: int, request: Effect) -> None:
        """Asks the worker to apply an effect."""
        self._frame.effects.append(
            engine_pb2.Effect(
                handle=handle,
                entries=request.entries,
                step=request.step,
                idempotency_key=request.idempotency_key,
            )
        )
        self._added(_weight(request.entries) + len(request.step.input))

    def finish(self, handle: int, ending: Finished) -> None:
        """Reports the end of a run."""
        self._frame.runs.append(
            engine_pb2.RunFinished(
                handle=handle, entries=ending.entries, state=ending.state, output=ending.output, error=ending.error
            )
        )
        self._added(_weight(ending.entries) + len(ending.output))

    def delay(self, handle: int, ending: Delayed) -> None:
        """Reports that a run resumes after a delay."""
        self._frame.delays.append(
            engine_pb2.RunDelayed(handle=handle, entries=ending.entries, delay_ms=ending.delay_ms)
        )
        self._added(_weight(ending.entries))

    def suspend(self, handle: int, ending: Suspended) -> None:
        """Reports that a run resumes when one of its waits is resolved."""
        self._frame.suspensions.append(
            engine_pb2.RunSuspended(handle=handle, entries=ending.entries, waits=ending.waits, wake_ms=ending.wake_ms)
        )
        self._added(_weight(ending.entries) + sum(len(wait.input) + len(wait.match) for wait in ending.waits))

    def _added(self, weight: int) -> None:
        self._used = True
        self._bytes += weight
        if self._bytes > FRAME_BYTES:
            self._full.append(self._frame)
            self._frame, self._bytes, self._used = engine_pb2.EngineFrame(), 0, False
        if not self._wake.is_set():
            self._wake.set()

    def close(self, failure: BaseException | None = None) -> None:
        """Ends `frames` after the last frame; `failure` is raised there."""
        self._closed = failure or True
        self._wake.set()

    async def frames(self) -> AsyncIterator[engine_pb2.EngineFrame]:
        """Yields every frame until the writer is closed."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._full:
                yield self._full.popleft()
            if self._used:
                frame, self._frame = self._frame, engine_pb2.EngineFrame()
                self._bytes, self._used = 0, False
                yield frame
            elif isinstance(self._closed, BaseException):
                raise self._closed
            elif self._closed:
                return
            if self._closed:
                self._wake.set()


def _weight(entries: Entries) -> int:
    """Returns the size of entries in bytes, roughly, and counts them in the metrics."""
    weight = 0
    for entry in entries:
        weight += len(entry.input) + len(entry.output) + len(entry.error)
        if entry.state not in UNENDED:
            metrics.STEP_STATES[entry.state].observe((entry.end_us - entry.start_us) / 1_000_000)
    return weight
