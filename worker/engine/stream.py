"""One stream to one engine: frames out, frames in, and what happens when it breaks."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

import grpc

from ordinaut.internal.v1.pipeline_engine_service_pb2 import (
    Definition,
    EngineFrame,
    JournalEntry,
    RunCancel,
    RunStart,
    StepCommitted,
    WorkerFrame,
)
from ordinaut.internal.v1.pipeline_engine_service_pb2_grpc import PipelineEngineServiceStub
from ordinaut.limits import FRAME_BYTES
from ordinaut.rpc.channel import internal_channel, internal_metadata
from ordinaut.telemetry import get_logger

log = get_logger()
ISOLATED_KEY = "ordinaut-isolated"
RECONNECT_SECONDS = 0.2


class EngineStream:
    """Runs go out as long as the engine gives credit; `on_frame` and `on_lost` are told what comes of them.

    What is sent during one turn of the event loop leaves as one frame, or as several where that would be too large.
    """

    def __init__(
        self,
        address: str,
        token: str,
        on_frame: "Callable[[EngineStream, EngineFrame], None]",
        on_lost: "Callable[[EngineStream], Awaitable[None]]",
        *,
        isolated: bool = False,
    ) -> None:
        self.address = address
        self.credit = 0
        self.drained = False  # whether the engine ended the stream by itself, because it stops
        self._metadata = (*internal_metadata(token), *(((ISOLATED_KEY, "1"),) if isolated else ()))
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._known: set[str] = set()
        self._pending = WorkerFrame()
        self._bytes = 0
        self._full: deque[WorkerFrame] = deque()
        self._some = asyncio.Event()

    def start_run(self, definition: Definition, start: RunStart) -> None:
        """Sends a run, and its definition where this engine has not seen it; takes one credit."""
        self.credit -= 1
        if definition.hash not in self._known:
            self._known.add(definition.hash)
            self._pending.definitions.append(definition)
            self._bytes += len(definition.pipeline) + sum(map(len, definition.tools))
        self._pending.starts.append(start)
        self._written(len(start.params) + len(start.event) + _weight(start.journal) + _weight(start.waits))

    def committed(self, handle: int, result: JournalEntry | None) -> None:
        """Tells the engine that what it waits for is durable."""
        self._pending.committed.append(StepCommitted(handle=handle, result=result))
        self._written(len(result.output) if result is not None else 0)

    def cancel(self, handles: Sequence[int]) -> None:
        """Stops runs in the engine."""
        self._pending.cancels.extend(RunCancel(handle=handle) for handle in handles)
        self._some.set()

    def _written(self, weight: int) -> None:
        """Closes a frame that holds much: with its last message it stays far below gRPC's limit."""
        self._bytes += weight
        if self._bytes > FRAME_BYTES:
            self._full.append(self._pending)
            self._pending, self._bytes = WorkerFrame(), 0
        self._some.set()

    async def serve(self) -> None:
        """Keeps the stream open until cancelled; opens it anew when it breaks."""
        async with internal_channel(self.address) as channel:
            while True:
                try:
                    await self._serve_once(channel)
                except grpc.aio.AioRpcError as failure:
                    log.warning("engine_lost", engine=self.address, code=failure.code().name, details=failure.details())
                finally:
                    self._forget()
                    await self._on_lost(self)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _serve_once(self, channel: grpc.aio.Channel) -> None:
        self.drained = False
        call = PipelineEngineServiceStub(channel).Execute(metadata=self._metadata, wait_for_ready=True)
        sender = asyncio.create_task(self._send(call))
        try:
            async for frame in call:
                self.credit += frame.credit
                self._on_frame(self, frame)
            self.drained = True
        finally:
            sender.cancel()
            call.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def _send(self, call: "grpc.aio.StreamStreamCall[WorkerFrame, EngineFrame]") -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._full:
                await call.write(self._full.popleft())
            frame, self._pending, self._bytes = self._pending, WorkerFrame(), 0
            await call.write(frame)

    def _forget(self) -> None:
        self.credit = 0
        self._known.clear()
        self._pending, self._bytes = WorkerFrame(), 0
        self._full.clear()
        self._some.clear()


def _weight(entries: Iterable[JournalEntry]) -> int:
    return sum(len(entry.input) + len(entry.output) + len(entry.error) for entry in entries)
