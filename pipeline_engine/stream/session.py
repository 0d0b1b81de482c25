"""One worker's stream: its definitions, its queued and live runs, and its credit."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from ordinaut.errors import FailedPreconditionError, InvalidArgumentError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, RunStart, WorkerFrame
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine import metrics
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.executor import CHECKPOINT_SECONDS
from pipeline_engine.interpreter.journal import CANCELLED, FAILED
from pipeline_engine.interpreter.requests import Delayed, Ending, Finished, Suspended
from pipeline_engine.stream.frame_writer import FrameWriter
from pipeline_engine.stream.live_run import LiveRun
from pipeline_engine.stream.run_start import EngineContext, prepare
from pipeline_engine.stream.start_queue import StartQueue

SLICE_SECONDS = 0.003
"""Time for which queued runs are started before the stream is read again: a more urgent run may have arrived."""


FINALLY_KEY = b'"finally"'
"""In the JSON of every pipeline with `finally`."""


class Session:
    """Drives the runs of one stream; `writer` collects the engine's frames."""

    def __init__(self, context: EngineContext) -> None:
        self.writer = FrameWriter()
        self.ended = asyncio.Event()
        self._context = context
        self._definitions: dict[str, Definition] = {}
        self._queue = StartQueue()
        self._runs: dict[int, LiveRun] = {}
        self._draining = False
        self._checkpoints: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def read(self, frames: AsyncIterator[WorkerFrame]) -> None:
        """Receives frames until the worker ends the stream."""
        try:
            async for frame in frames:
                self.receive(frame)
        except Exception as failure:  # noqa: BLE001 - the stream's handler raises it, which ends the stream
            self.writer.close(failure)
        else:
            self.writer.close()

    def receive(self, frame: object) -> None:
        """Processes one frame.

        Raises:
            InvalidArgumentError: it is not a WorkerFrame.
            FailedPreconditionError: it starts a run twice, or without its definition.
        """
        if not isinstance(frame, WorkerFrame):
            raise InvalidArgumentError(ErrorReason.MALFORMED_MESSAGE, "the message is not a valid WorkerFrame")
        for definition in frame.definitions:
            self._definitions[definition.hash] = definition
        if frame.starts:
            self._enqueue(frame.starts)
        for committed in frame.committed:
            if (run := self._runs.get(committed.handle)) is not None:  # None: it was cancelled after the write
                run.commit(committed)
        for cancel in frame.cancels:
            self._cancel(cancel.handle, report=cancel.report)

    def drain(self) -> None:
        """Stops giving credit and ends the stream after its last run."""
        self._draining = True
        if self._is_empty():
            self.writer.close()

    def close(self) -> None:
        """Drops every run; the worker releases them or its lease expires, and they are claimed again."""
        metrics.LIVE.dec(self._queue.clear())
        for handle in list(self._runs):
            self._cancel(handle, report=False)
        if self._checkpoints is not None:
            self._checkpoints.cancel()
        self.ended.set()

    def _enqueue(self, starts: Sequence[RunStart]) -> None:
        was_empty = not self._queue
        for start in starts:
            if start.hash not in self._definitions or start.handle in self._runs or start.handle in self._queue:
                raise FailedPreconditionError(
                    ErrorReason.INVALID_REQUEST,
                    "a run must be started once, after its definition was sent",
                    {"handle": start.handle},
                )
            self._queue.add(start)
        metrics.LIVE.inc(len(starts))
        if was_empty:
            self._start_queued()

    def _start_queued(self) -> None:
        """Starts the most urgent runs for one time slice; the others follow after the frames that have arrived."""
        until = self._loop.time() + SLICE_SECONDS
        while self._queue:
            self._start(self._queue.take())
            if self._loop.time() >= until:
                self._loop.call_soon(self._start_queued)
                return

    def _start(self, start: RunStart) -> None:
        execution = prepare(start, self._definitions[start.hash], self._context)
        if isinstance(execution, Failure):
            state = CANCELLED if start.cancelled else FAILED
            self.writer.finish(start.handle, Finished((), state, error=execution.to_json()))
            self._release(state)
            return
        run = LiveRun(start.handle, execution, self._context.tools, self._context.checks, self.writer, self._end)
        self._runs[start.handle] = run
        if self._checkpoints is None:
            self._checkpoints = self._loop.call_later(CHECKPOINT_SECONDS, self._checkpoint)
        run.start()

    def _end(self, run: LiveRun, ending: Ending) -> None:
        if isinstance(ending, Delayed):
            state = "DELAYED"
            self.writer.delay(run.handle, ending)
        elif isinstance(ending, Suspended):
            state = "WAITING"
            self.writer.suspend(run.handle, ending)
        else:
            state = ending.state
            self.writer.finish(run.handle, ending)
        del self._runs[run.handle]
        run.cancel_pending()
        self._release(state)

    def _cancel(self, handle: int, *, report: bool) -> None:
        if report and self._finishes(handle):
            return
        if self._queue.remove(handle):
            ending = Finished((), CANCELLED)
        elif (run := self._runs.pop(handle, None)) is not None:
            ending = run.cancel()
        else:
            return
        if report:
            self.writer.finish(handle, ending)
        self._release(CANCELLED)

    def _finishes(self, handle: int) -> bool:
        """Has a run that is to be cancelled run its `finally`; False without one in its pipeline."""
        if (run := self._runs.get(handle)) is not None and run.has_finally:
            run.interrupt()
            return True
        start = self._queue.get(handle)
        if start is None or FINALLY_KEY not in self._definitions[start.hash].pipeline:
            return False
        start.cancelled = True
        return True

    def _checkpoint(self) -> None:
        """Writes older entries and starts of calls of every run, each CHECKPOINT_SECONDS while there are runs."""
        for run in list(self._runs.values()):
            run.checkpoint()
        self._checkpoints = self._loop.call_later(CHECKPOINT_SECONDS, self._checkpoint) if self._runs else None

    def _release(self, state: str) -> None:
        """Counts a run that has left the engine, and gives its credit back to the worker."""
        metrics.LIVE.dec()
        metrics.RUN_STATES[state].inc()
        if not self._draining:
            self.writer.credit(1)
        elif self._is_empty():
            self.writer.close()

    def _is_empty(self) -> bool:
        return not self._runs and not self._queue
