"""The HTTP face, composed: health, API pages, and the transcoded API under /v1."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gateway.health import POSTGRES, SERVING, Components
from gateway.rest.errors import HttpRefusalError, refusal
from gateway.rest.pages.api_pages import PIPELINE_SCHEMA, pages
from gateway.rest.request_limits import Application, Edge
from gateway.rest.transcoding.body import Receive
from gateway.rest.transcoding.response import Send
from gateway.rest.transcoding.routes import method_not_allowed
from gateway.rest.transcoding.transcoder import Transcoder
from ordinaut.errors import NotFoundError
from ordinaut.v1.error_pb2 import ErrorReason

API = "/v1/"


def application(components: Components, transcoder: Transcoder) -> Application:
    """`/healthz`: the process answers. `/readyz`: it can reach what it cannot work without. The rest is the API."""
    app = FastAPI(title="Ordinaut", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        health = await components.health()
        ready = health[POSTGRES] == SERVING  # without scheduler or engine all but saving definitions works
        body = {"status": "ready" if ready else "not ready", "components": dict(health)}
        return JSONResponse(body, status_code=200 if ready else 503)

    app.include_router(pages(transcoder.table))
    app.add_exception_handler(HTTPException, _unknown_path)
    return Edge(_split(transcoder, app))


def _split(api: Application, pages_and_health: Application) -> Application:
    """The API goes past FastAPI, whose layers would cost each call a tenth of a millisecond for nothing."""

    async def split(scope: Any, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        chosen = api if path.startswith(API) and path != PIPELINE_SCHEMA else pages_and_health
        await chosen(scope, receive, send)

    return split


async def _unknown_path(request: Request, failure: Any) -> Response:
    """Outside of the API too, errors look as they do inside."""
    if failure.status_code == 405:
        refused = refusal(method_not_allowed(request.method, failure.headers["Allow"].split(", ")))
    else:
        error = NotFoundError(ErrorReason.METHOD_UNKNOWN, "there is no such path; see /docs")
        refused = refusal(HttpRefusalError(404, error))
    return Response(refused.body, refused.status, dict(refused.headers), "application/json")
