"""A tool that tells everything it hears: in its answer, in its errors, and in its headers."""

from typing import Any, Self

from aiohttp import web


class EchoServer:
    """`POST /echo` answers with body and headers, with the status that the input's `status` says."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/echo", self._echo)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/echo"
        return self

    async def __aexit__(self, *_failure: object) -> None:
        await self._runner.cleanup()

    async def _echo(self, request: web.Request) -> web.Response:
        given: dict[str, Any] = await request.json() if request.can_read_body else dict(request.query)
        heard = {"input": given, "headers": dict(request.headers)}
        self.heard.append(heard)
        if given.get("status") == "cut":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(heard, status=int(given.get("status", 200)) if given.get("status") != "cut" else 200)
