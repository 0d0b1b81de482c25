"""One stream to one engine: frames in both directions, and a new stream when it breaks."""

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
    """Sends runs while the engine gives credit; calls `on_frame` for each frame and `on_lost` after the stream broke.

    Messages added in one iteration of the event loop are sent as one frame, or as several if it would be too large.
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
        self._sent_definitions: set[str] = set()
        self._pending = WorkerFrame()
        self._pending_bytes = 0
        self._full: deque[WorkerFrame] = deque()
        self._added = asyncio.Event()

    def start_run(self, definition: Definition, start: RunStart) -> None:
        """Sends a run, and its definition if this stream has not sent it yet; uses one credit."""
        self.credit -= 1
        if definition.hash not in self._sent_definitions:
            self._sent_definitions.add(definition.hash)
            self._pending.definitions.append(definition)
            self._pending_bytes += len(definition.pipeline) + sum(map(len, definition.tools))
        self._pending.starts.append(start)
        self._add_bytes(len(start.params) + len(start.event) + _size(start.journal) + _size(start.waits))

    def committed(self, handle: int, result: JournalEntry | None) -> None:
        """Acknowledges that the reported entries are durable; `result` is the entry of the effect."""
        self._pending.committed.append(StepCommitted(handle=handle, result=result))
        self._add_bytes(len(result.output) if result is not None else 0)

    def cancel(self, handles: Sequence[int], *, report: bool = False) -> None:
        """Stops runs in the engine; with `report` the engine replies with what it has not reported of them."""
        self._pending.cancels.extend(RunCancel(handle=handle, report=report) for handle in handles)
        self._added.set()

    def _add_bytes(self, size: int) -> None:
        """Closes the frame when it is large; with its last message it stays far below gRPC's limit."""
        self._pending_bytes += size
        if self._pending_bytes > FRAME_BYTES:
            self._full.append(self._pending)
            self._pending, self._pending_bytes = WorkerFrame(), 0
        self._added.set()

    async def serve(self) -> None:
        """Keeps the stream open until cancelled; opens a new one when it breaks."""
        async with internal_channel(self.address) as channel:
            while True:
                try:
                    await self._serve_once(channel)
                except grpc.aio.AioRpcError as failure:
                    log.warning("engine_lost", engine=self.address, code=failure.code().name, details=failure.details())
                finally:
                    self._reset()
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
            await self._added.wait()
            self._added.clear()
            while self._full:
                await call.write(self._full.popleft())
            frame, self._pending, self._pending_bytes = self._pending, WorkerFrame(), 0
            await call.write(frame)

    def _reset(self) -> None:
        self.credit = 0
        self._sent_definitions.clear()
        self._pending, self._pending_bytes = WorkerFrame(), 0
        self._full.clear()
        self._added.clear()


def _size(entries: Iterable[JournalEntry]) -> int:
    return sum(len(entry.input) + len(entry.output) + len(entry.error) for entry in entries)
