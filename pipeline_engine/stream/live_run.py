"""Drives one run of a stream: performs the requests of its execution and returns the responses."""

import asyncio
import secrets
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from ordinaut.internal.v1.pipeline_engine_service_pb2 import StepCommitted
from ordinaut.telemetry import get_logger
from pipeline_engine import metrics
from pipeline_engine.data.failure import TOOL_ERROR, Failure, timed_out
from pipeline_engine.interpreter.executor import Execution, Progress
from pipeline_engine.interpreter.journal import CANCELLED, FAILED
from pipeline_engine.interpreter.requests import (
    Call,
    CheckPort,
    CheckValue,
    Commit,
    Effect,
    Ending,
    Finished,
    Request,
    Response,
    ToolPort,
)
from pipeline_engine.stream.frame_writer import FrameWriter

log = get_logger()


class LiveRun:
    """A run in this engine. Calls and sleeps run concurrently.

    The worker responds to a commit, and to each effect of one write in their order, with a StepCommitted.
    """

    def __init__(
        self,
        handle: int,
        execution: Execution,
        tools: ToolPort,
        checks: CheckPort,
        writer: FrameWriter,
        on_end: Callable[["LiveRun", Ending], None],
    ) -> None:
        self.handle = handle
        self.has_finally = execution.has_finally
        self._execution = execution
        self._tools = tools
        self._checks = checks
        self._writer = writer
        self._on_end = on_end
        self._pending: dict[int, asyncio.Task[None] | asyncio.TimerHandle] = {}
        self._writes: deque[int] = deque()
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Starts the execution."""
        self._advance(self._execution.start)

    def commit(self, committed: StepCommitted) -> None:
        """Takes the worker's response to the oldest commit or effect in flight."""
        if not self._writes:
            return
        self._respond(self._writes.popleft(), committed.result if committed.HasField("result") else None)

    def cancel(self) -> Finished:
        """Closes the execution and cancels its calls; returns the end of the run with what it had not sent."""
        entries = self._execution.close()
        self.cancel_pending()
        return Finished(entries, CANCELLED)

    def interrupt(self) -> None:
        """Cancels the main part of the run; its `finally` runs, and the run ends after it."""
        self._advance(self._execution.interrupt)

    def checkpoint(self) -> None:
        """Makes older entries and starts of calls durable."""
        for request_id, request in self._execution.checkpoint().requests:
            self._perform(request_id, request)

    def cancel_pending(self) -> None:
        """Cancels all calls and sleeps."""
        for pending in self._pending.values():
            pending.cancel()
        self._pending.clear()

    def _advance(self, advance: Callable[[], Progress]) -> None:
        """Continues the run until it needs responses or ends."""
        try:
            progress = advance()
        except Exception:  # noqa: BLE001 - a defect that one run triggers must not end the other runs
            self._on_end(self, Finished((), FAILED, error=self._internal_error().to_json()))
            return
        for request_id in progress.cancelled:
            if pending := self._pending.pop(request_id, None):
                pending.cancel()
        if self._execution.ending is not None:
            self._on_end(self, self._execution.ending)
            return
        for request_id, request in progress.requests:
            self._perform(request_id, request)

    def _respond(self, request_id: int, response: Response) -> None:
        self._pending.pop(request_id, None)
        self._advance(lambda: self._execution.respond(request_id, response))

    def _perform(self, request_id: int, request: Request) -> None:
        if isinstance(request, Commit):
            self._writes.append(request_id)
            self._writer.commit(self.handle, request)
        elif isinstance(request, Effect):
            self._writes.append(request_id)
            self._writer.effect(self.handle, request)
        elif isinstance(request, Call):
            self._pending[request_id] = self._loop.create_task(self._call(request_id, request))
        elif isinstance(request, CheckValue):
            self._pending[request_id] = self._loop.create_task(self._check(request_id, request))
        else:
            self._pending[request_id] = self._loop.call_later(request.seconds, self._respond, request_id, None)

    async def _call(self, request_id: int, request: Call) -> None:
        began = self._loop.time()
        response: Response
        try:
            async with asyncio.timeout(request.timeout):
                response = await self._tools.call(request)
        except TimeoutError:
            response = timed_out(request.timeout)
        except Exception:  # noqa: BLE001 - a defect that one run triggers must not end the other runs
            response = replace(self._internal_error(), may_have_happened=True)
        outcome = response.code if isinstance(response, Failure) else "OK"
        metrics.TOOLS.labels(outcome).observe(self._loop.time() - began)
        self._respond(request_id, response)

    async def _check(self, request_id: int, request: CheckValue) -> None:
        response: Response
        try:
            response = await self._checks.check(request)
        except Exception:  # noqa: BLE001 - a defect that one run triggers must not end the other runs
            response = self._internal_error()
        self._respond(request_id, response)

    def _internal_error(self) -> Failure:
        """Logs the current exception and returns a failure with the id of the log entry."""
        error_id = secrets.token_hex(8)
        if self._execution.discreet:  # the text of the exception could contain a sensitive value
            kind = type(sys.exception()).__name__
            log.error("internal_error", error_id=error_id, handle=self.handle, kind=kind)
        else:
            log.exception("internal_error", error_id=error_id, handle=self.handle)
        return Failure(TOOL_ERROR, f"internal error (id {error_id})")
