"""The API pages, which load nothing from other hosts and therefore work offline."""

from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import orjson
from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

from gateway.rest.openapi.document import openapi
from gateway.rest.pages.task_schema import task_schema
from gateway.rest.transcoding.routes import RouteTable

OWN = ("docs.css", "docs.js", "icon.svg")
SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")  # Swagger UI, from the package fastapi-offline
PIPELINE_SCHEMA = "/v1/pipeline.schema.json"
TASK_SCHEMA = "/v1/task.schema.json"
SCHEMAS = frozenset({PIPELINE_SCHEMA, TASK_SCHEMA})
HOUR = "public, max-age=3600"
# Swagger UI uses inline styles and data: images; nothing is loaded from other hosts.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def pages(table: RouteTable) -> APIRouter:
    """Returns the routes `/openapi.json`, `/docs` (Swagger UI), and the JSON Schemas of pipelines and tasks."""
    router = APIRouter(include_in_schema=False)

    @cache
    def document() -> bytes:
        return orjson.dumps(openapi(table.routes))

    @cache
    def schema() -> bytes:
        return files("ordinaut").joinpath("pipeline.schema.json").read_bytes()

    @cache
    def tasks() -> bytes:
        return orjson.dumps(task_schema())

    @router.get("/openapi.json")
    async def contract() -> Response:
        return Response(document(), media_type="application/json")

    @router.get(PIPELINE_SCHEMA)
    async def language() -> Response:
        """Returns the JSON Schema of the pipeline language, for editors and models."""
        return Response(schema(), media_type="application/schema+json", headers={"cache-control": HOUR})

    @router.get(TASK_SCHEMA)
    async def task() -> Response:
        """Returns the JSON Schema of a task."""
        return Response(tasks(), media_type="application/schema+json", headers={"cache-control": HOUR})

    @router.get("/docs")
    async def docs() -> FileResponse:
        return FileResponse(_own("docs.html"), headers={"content-security-policy": POLICY})

    for name, path in assets().items():
        router.get(f"/docs/{name}")(_file(path))
    return router


def assets() -> dict[str, Path]:
    """Returns the files that the page loads, by name.

    Raises:
        RuntimeError: fastapi-offline is missing or lacks a file.
    """
    paths = {name: _own(name) for name in OWN} | {name: _swagger(name) for name in SWAGGER}
    if missing := [str(path) for path in paths.values() if not path.is_file()]:
        raise RuntimeError(f"the API page lacks these files: {', '.join(missing)}")
    return paths


def _file(path: Path) -> Callable[[], Awaitable[FileResponse]]:
    async def serve() -> FileResponse:
        return FileResponse(path, headers={"cache-control": HOUR})

    return serve


def _own(name: str) -> Path:
    return Path(str(files("gateway.rest.pages") / name))


def _swagger(name: str) -> Path:
    spec = find_spec("fastapi_offline")  # used for its static files only
    if spec is None or spec.origin is None:
        raise RuntimeError("the package fastapi-offline is not installed")
    return Path(spec.origin).parent / "static" / name
