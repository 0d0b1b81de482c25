"""A real gRPC server with an engine, a tool server on loopback, and the worker's end of the stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import orjson
from aiohttp import web

from ordinaut.clock import ProcessClock
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from ordinaut.internal.v1.pipeline_engine_service_pb2_grpc import (
    PipelineEngineServiceStub,
    add_PipelineEngineServiceServicer_to_server,
)
from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from ordinaut.rpc.channel import internal_channel, internal_metadata
from ordinaut.rpc.server import Registration, Server, internal_guard
from pipeline_engine.interpreter.requests import ToolPort
from pipeline_engine.processes.checks import Checks, Pool
from pipeline_engine.service import ISOLATED_KEY, PipelineEngineService
from pipeline_engine.stream.plan_cache import PlanCache
from pipeline_engine.stream.run_start import EngineContext
from pipeline_engine.tools.egress import Egress, parse_rules
from pipeline_engine.tools.http import HttpTools
from pipeline_engine.tools.retry_after import ToolHolds
from tests.integration.support.thread_pool import ThreadPool
from tests.patience import PATIENCE
from tests.unit.engine.pipelines import TOOL_TEXTS

TOKEN = "between-ourselves"


@dataclass
class Engine:
    """A running engine."""

    stub: Any
    channel: grpc.aio.Channel
    service: PipelineEngineService


@asynccontextmanager
async def engine(
    *,
    allow: str = "127.0.0.0/8",
    credit: int = 400,
    port_to_tools: ToolPort | None = None,
    new_pool: Callable[[], Pool] = ThreadPool,
) -> AsyncIterator[Engine]:
    """Starts an engine on a free port."""
    holds = ToolHolds(ProcessClock().monotonic)
    tools = HttpTools(Egress(parse_rules(allow)), holds=holds)
    checks = Checks(new_pool)
    context = EngineContext(
        PlanCache(), port_to_tools or tools, checks, ProcessClock(), lambda _key: 0.01, hold=holds.remaining
    )
    service = PipelineEngineService(context, checks, credit)
    server = Server(
        [
            Registration(
                add_PipelineEngineServiceServicer_to_server, service, "ordinaut.internal.v1.PipelineEngineService"
            )
        ],
        internal_guard(TOKEN),
        max_message_bytes=MAX_INTERNAL_MESSAGE_BYTES,
    )
    port = await server.start("127.0.0.1:0")
    try:
        async with internal_channel(f"127.0.0.1:{port}") as channel:
            yield Engine(PipelineEngineServiceStub(channel), channel, service)
    finally:
        await server.stop(0)
        await checks.close()
        await tools.close()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def tool_server(handler: Handler) -> AsyncIterator[int]:
    """Serves every path with `handler` on a free loopback port."""
    application = web.Application(client_max_size=4 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def http_tool(name: str, port: int, **http: Any) -> bytes:
    """Returns a tool of the tool server."""
    return orjson.dumps({"name": name, "http": {"url": f"http://127.0.0.1:{port}/x", **http}})


def definition(document: Any, *tools: bytes, name: str = "d", denied: tuple[str, ...] = ()) -> pb.Definition:
    """Returns a definition as a worker sends it."""
    return pb.Definition(hash=name, pipeline=orjson.dumps(document), tools=[*TOOL_TEXTS, *tools], denied_tools=denied)


def start(handle: int, name: str = "d", **more: Any) -> pb.RunStart:
    """Returns a run as a worker sends it."""
    return pb.RunStart(handle=handle, hash=name, root=f"root-{handle}", now_us=1_800_000_000_000_000, **more)


@dataclass
class Worker:
    """A worker's end of one stream; with `commits` it acknowledges writes automatically."""

    engine: Engine
    isolated: bool = False
    token: str = TOKEN
    commits: bool = True
    credit: int = 0
    frames: int = 0
    finished: dict[int, pb.RunFinished] = field(default_factory=dict)
    delayed: dict[int, pb.RunDelayed] = field(default_factory=dict)
    committed: list[pb.JournalEntry] = field(default_factory=list)
    effects: list[pb.Effect] = field(default_factory=list)
    acknowledgeable: list[pb.StepFinished] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> "Worker":
        metadata = [*internal_metadata(self.token), *([(ISOLATED_KEY, "1")] if self.isolated else [])]
        self.call = self.engine.stub.Execute(metadata=metadata)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_failure: object) -> None:
        self.call.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def send(self, **parts: Any) -> None:
        """Sends one frame; gRPC takes one at a time, and the reader acknowledges while a test sends."""
        async with self._writing:
            await self.call.write(pb.WorkerFrame(**parts))

    async def until(self, condition: Callable[["Worker"], bool]) -> None:
        """Waits until what has come in fulfils `condition`."""
        async with asyncio.timeout(PATIENCE):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    async def result(self, handle: int) -> pb.RunFinished:
        """Waits for the end of a run."""
        await self.until(lambda worker: handle in worker.finished)
        return self.finished[handle]

    async def _read(self) -> None:
        async for frame in self.call:
            self.frames += 1
            self.credit += frame.credit
            self.finished.update({ended.handle: ended for ended in frame.runs})
            self.delayed.update({delayed.handle: delayed for delayed in frame.delays})
            self.effects.extend(frame.effects)
            for finished in frame.finished:
                self.committed.extend(finished.entries)
                self.acknowledgeable.append(finished)
            if self.commits:
                await self._acknowledge(frame)
            self._changed.set()

    async def _acknowledge(self, frame: pb.EngineFrame) -> None:
        answers = [pb.StepCommitted(handle=finished.handle) for finished in frame.finished]
        for effect in frame.effects:
            result = pb.JournalEntry(
                path=effect.step.path, attempt=effect.step.attempt, state="SUCCEEDED", output=b'{"revision":7}'
            )
            answers.append(pb.StepCommitted(handle=effect.handle, result=result))
        if answers:
            await self.send(committed=answers)
