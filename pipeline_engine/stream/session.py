"""One worker's stream: its definitions, its live runs, and what each of them waits for."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from ordinaut.clock import Clock
from ordinaut.errors import FailedPreconditionError, InvalidArgumentError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import (
    Definition,
    RunStart,
    StepCommitted,
    WorkerFrame,
)
from ordinaut.limits import MAX_STEP_OUTPUTS_BYTES
from ordinaut.telemetry import get_logger
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine import metrics
from pipeline_engine.data.failure import TOOL_ERROR, VALIDATION_INPUT, Failure, no_answer
from pipeline_engine.interpreter.executor import Execution, Turn
from pipeline_engine.interpreter.journal import FAILED
from pipeline_engine.interpreter.requests import (
    Answer,
    Call,
    Commit,
    Delayed,
    Ending,
    Finished,
    Perform,
    Request,
    Suspended,
    ToolPort,
)
from pipeline_engine.language.compile import PlanError
from pipeline_engine.stream.compiled_definitions import Plans
from pipeline_engine.stream.outbox import Outbox
from pipeline_engine.stream.params import refusal
from pipeline_engine.stream.start_queue import Starts

log = get_logger()
SLICE_SECONDS = 0.003
"""For so long runs are begun before the stream is listened to again: a more urgent one may have come."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all sessions of an engine share; `fraction` gives [0, 1) for a key.

    `outputs_max_bytes` is what one run may keep of its steps.
    """

    plans: Plans
    tools: ToolPort
    clock: Clock
    fraction: Callable[[str], float]
    outputs_max_bytes: int = MAX_STEP_OUTPUTS_BYTES


@dataclass(slots=True, eq=False)
class LiveRun:
    """A run in this engine: `work` goes on by itself, by ask; `write` is the ask that a StepCommitted answers."""

    handle: int
    execution: Execution
    work: dict[int, asyncio.Task[None] | asyncio.TimerHandle] = field(default_factory=dict)
    write: int | None = None


class Session:
    """Drives the runs of one stream; `outbox` carries what they have to say."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.outbox = Outbox()
        self.ended = asyncio.Event()
        self._surroundings = surroundings
        self._definitions: dict[str, Definition] = {}
        self._starts = Starts()
        self._runs: dict[int, LiveRun] = {}
        self._draining = False
        self._loop = asyncio.get_running_loop()

    async def read(self, frames: AsyncIterator[WorkerFrame]) -> None:
        """Takes what the worker says until it ends the stream."""
        try:
            async for frame in frames:
                self.receive(frame)
        except Exception as failure:  # noqa: BLE001 - the stream's handler raises it, which ends the stream
            self.outbox.close(failure)
        else:
            self.outbox.close()

    def receive(self, frame: object) -> None:
        """Takes one frame.

        Raises:
            InvalidArgumentError: it is none.
            FailedPreconditionError: it starts a run whose definition was never sent, or one that lives already.
        """
        if not isinstance(frame, WorkerFrame):
            raise InvalidArgumentError(ErrorReason.MALFORMED_MESSAGE, "the bytes are no WorkerFrame")
        for definition in frame.definitions:
            self._definitions[definition.hash] = definition
        if frame.starts:
            self._queue(frame.starts)
        for committed in frame.committed:
            self._committed(committed)
        for cancel in frame.cancels:
            self._cancel(cancel.handle)

    def drain(self) -> None:
        """Gives no more credit and ends the stream once no run is left."""
        self._draining = True
        if self._is_empty():
            self.outbox.close()

    def close(self) -> None:
        """Drops every run; the worker's lease brings them back."""
        metrics.LIVE.dec(self._starts.clear())
        for handle in list(self._runs):
            self._cancel(handle)
        self.ended.set()

    def _queue(self, starts: Sequence[RunStart]) -> None:
        idle = not self._starts
        for start in starts:
            if start.hash not in self._definitions or start.handle in self._runs or start.handle in self._starts:
                raise FailedPreconditionError(
                    ErrorReason.INVALID_REQUEST, "a run starts once, and after its definition", {"handle": start.handle}
                )
            self._starts.add(start)
        metrics.LIVE.inc(len(starts))
        if idle:
            self._start_some()

    def _start_some(self) -> None:
        """Begins the most urgent runs for a moment; the others have their turn behind what has come meanwhile."""
        until = self._loop.time() + SLICE_SECONDS
        while self._starts:
            self._start(self._starts.take())
            if self._loop.time() >= until:
                self._loop.call_soon(self._start_some)
                return

    def _start(self, start: RunStart) -> None:
        shared = self._surroundings
        try:
            plan = shared.plans.get(self._definitions[start.hash])
        except PlanError as error:
            failure = Failure(VALIDATION_INPUT, f"the pipeline cannot be executed: {error}")
            self.outbox.finish(start.handle, Finished((), FAILED, error=failure.to_json()))
            self._left(FAILED)
            return
        if start.params_schema and (refused := refusal(start)) is not None:
            self.outbox.finish(start.handle, Finished((), FAILED, error=refused.to_json()))
            self._left(FAILED)
            return
        live = LiveRun(
            start.handle,
            Execution(plan, start, shared.clock, shared.fraction, outputs_max_bytes=shared.outputs_max_bytes),
        )
        self._runs[start.handle] = live
        self._advance(live, live.execution.begin)

    def _advance(self, live: LiveRun, step: Callable[[], Turn]) -> None:
        """Lets a run go on until it needs something or ends."""
        try:
            turn = step()
        except Exception:  # noqa: BLE001 - one run's defect must not end the others
            self._end(live, Finished((), FAILED, error=_defect(live).to_json()))
            return
        for ask in turn.dropped:
            if work := live.work.pop(ask, None):
                work.cancel()
        if live.execution.ending is not None:
            self._end(live, live.execution.ending)
            return
        for ask, request in turn.asks:
            self._serve(live, ask, request)

    def _answer(self, live: LiveRun, ask: int, answer: Answer) -> None:
        live.work.pop(ask, None)
        self._advance(live, lambda: live.execution.answer(ask, answer))

    def _serve(self, live: LiveRun, ask: int, request: Request) -> None:
        if isinstance(request, Commit):
            live.write = ask
            self.outbox.commit(live.handle, request)
        elif isinstance(request, Perform):
            live.write = ask
            self.outbox.perform(live.handle, request)
        elif isinstance(request, Call):
            live.work[ask] = self._loop.create_task(self._call(live, ask, request))
        else:
            live.work[ask] = self._loop.call_later(request.seconds, self._answer, live, ask, None)

    async def _call(self, live: LiveRun, ask: int, request: Call) -> None:
        began = self._loop.time()
        answer: Answer
        try:
            async with asyncio.timeout(request.timeout):
                answer = await self._surroundings.tools.call(request)
        except TimeoutError:
            answer = no_answer(request.timeout)
        except Exception:  # noqa: BLE001 - one run's defect must not end the others
            answer = replace(_defect(live), unclear=True)
        outcome = answer.code if isinstance(answer, Failure) else "OK"
        metrics.TOOLS.labels(outcome).observe(self._loop.time() - began)
        self._answer(live, ask, answer)

    def _committed(self, committed: StepCommitted) -> None:
        live = self._runs.get(committed.handle)
        if live is None or live.write is None:  # it was cancelled meanwhile
            return
        ask, live.write = live.write, None
        self._answer(live, ask, committed.result if committed.HasField("result") else None)

    def _end(self, live: LiveRun, ending: Ending) -> None:
        if isinstance(ending, Delayed):
            self.outbox.delay(live.handle, ending)
            self._leave(live, "DELAYED")
        elif isinstance(ending, Suspended):
            self.outbox.suspend(live.handle, ending)
            self._leave(live, "WAITING")
        else:
            self.outbox.finish(live.handle, ending)
            self._leave(live, ending.state)

    def _cancel(self, handle: int) -> None:
        if self._starts.drop(handle):
            self._left("CANCELLED")
            return
        live = self._runs.get(handle)
        if live is None:
            return
        live.execution.close()
        self._leave(live, "CANCELLED")

    def _leave(self, live: LiveRun, state: str) -> None:
        del self._runs[live.handle]
        for work in live.work.values():
            work.cancel()
        live.work.clear()
        self._left(state)

    def _left(self, state: str) -> None:
        metrics.LIVE.dec()
        metrics.RUN_STATES[state].inc()
        if not self._draining:
            self.outbox.credit(1)
        elif self._is_empty():
            self.outbox.close()

    def _is_empty(self) -> bool:
        return not self._runs and not self._starts


def _defect(live: LiveRun) -> Failure:
    """What a run gets to see of an exception that nobody expected; the log has the rest."""
    defect = secrets.token_hex(8)
    log.exception("internal_error", error_id=defect, handle=live.handle)
    return Failure(TOOL_ERROR, f"internal error (id {defect})")
