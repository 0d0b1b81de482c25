"""A tool that keeps a log: the third witness beside the database and the processes."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from ordinaut.client import Client
from ordinaut.v1.tool_pb2 import HttpTransport, Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest


@dataclass
class ToolServer:
    """`work.step {run, step}` answers after `seconds`; while `gate` is clear it answers nothing.

    `before` is awaited between the call and its answer, `after` behind the answer. The first calls of a step get the
    HTTP statuses that stand in `refusals` for it.
    """

    seconds: float = 0.01
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: dict[str, list[int]] = field(default_factory=dict)
    before: Callable[[str, str], Awaitable[None]] | None = None
    after: Callable[[str, str], Awaitable[None]] | None = None

    async def __aenter__(self) -> Self:
        self.gate.set()
        application = web.Application()
        application.router.add_post("/step", self._step)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_failure: object) -> None:
        self.gate.set()
        await self._runner.cleanup()

    async def register(
        self, client: Client, name: str = "work.step", effect: Tool.Effect.ValueType = Tool.IDEMPOTENT
    ) -> None:
        tool = Tool(
            name=f"tools/{name}",
            effect=effect,
            http=HttpTransport(url=f"http://127.0.0.1:{self.port}/step"),
        )
        await client.tools.CreateTool(CreateToolRequest(tool=tool))

    def keys(self) -> dict[tuple[str, str], set[str]]:
        """The idempotency keys that came for each step of each run."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for run, step, key in self.calls:
            found[run, step].add(key)
        return found

    async def _step(self, request: web.Request) -> web.Response:
        given: dict[str, Any] = await request.json()
        self.calls.append((given["run"], given["step"], request.headers["Idempotency-Key"]))
        self.called.set()
        await self.gate.wait()
        await asyncio.sleep(self.seconds)  # the tool is at work
        if self.before is not None:
            await self.before(given["run"], given["step"])
        if self.refusals.get(given["step"]):
            return web.Response(status=self.refusals[given["step"]].pop(0))
        response = web.json_response({"done": given["step"]})
        if self.after is not None:
            await response.prepare(request)
            await response.write_eof()
            await self.after(given["run"], given["step"])
        return response
