"""The HTTP face: whether this process lives and can work."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse

from gateway.components import POSTGRES, SERVING, Components

STOP_SECONDS = 5.0


def application(components: Components) -> FastAPI:
    """`/healthz`: the process answers. `/readyz`: it can reach what it cannot work without."""
    app = FastAPI(title="Ordinaut", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        health = await components.health()
        ready = health[POSTGRES] == SERVING  # without scheduler or engine all but saving definitions works
        body = {"status": "ready" if ready else "not ready", "components": dict(health)}
        return JSONResponse(body, status_code=200 if ready else 503)

    return app


class _Server(uvicorn.Server):
    """Leaves the signals to the process that it is a part of."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: FastAPI, listen: str) -> AsyncIterator[int]:
    """Serves `app` on `host:port` (port 0: any free one) for as long as the context lasts; gives the port.

    Raises:
        OSError: the address cannot be listened on.
    """
    listener = _listener(listen)
    server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", server_header=False))
    task = asyncio.create_task(server.serve(sockets=[listener]), name="rest")
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait([task], timeout=STOP_SECONDS)
        task.cancel()
        listener.close()


def _listener(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=128)
