"""The tools and pipelines of the page on tools work as they are printed."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from google.protobuf import json_format
from ruamel.yaml import YAML

from ordinaut.documents.reading import fill
from ordinaut.sensitive import MASK
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import CreateRunRequest, GetRunRequest
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from ordinaut.v1.view_pb2 import FULL
from tests.integration.conftest import fresh_database
from tests.integration.support.engine_rig import tool_server
from tests.integration.support.gateway_system import GatewaySystem, finished, gateway_system, working
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = Path(__file__).parents[3] / "docs/how-to/tools.md"
TEXTS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
SHOUT, RESPONSE, STEPS, POLLING, SENSITIVE = (YAML(typ="safe", pure=True).load(text) for text in TEXTS)


class Site:
    """Users with an ETag, a tool that shouts, and reports that are built in the background."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.is_built = False

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append(f"{request.method} {request.path}")
        if request.path == "/users/7":
            return web.json_response({"name": "ann"}, headers={"ETag": '"v7"'})
        if request.path.startswith("/users/"):
            return web.json_response({"error": "unknown"}, status=404)
        if request.path == "/shout":
            return web.json_response({"text": (await request.json())["text"].upper()})
        if request.path == "/build":
            return web.Response(status=202, headers={"Location": "/jobs/1"})
        return web.json_response({"state": "done" if self.is_built else "running", "token": "report-token-1"})


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str, site: Site) -> AsyncIterator[GatewaySystem]:
    async with (
        tool_server(site.handle) as port,
        fresh_database(postgres_url) as url,
        gateway_system(url, egress="127.0.0.0/8") as started,
        working(started, url),
    ):
        base = f"http://127.0.0.1:{port}"
        polling = {**POLLING["http"], "url": f"{base}/build"}
        polling["polling"] = {**polling["polling"], "interval": "0.1s"}
        for name, http, more in (
            ("users.get", {**RESPONSE["http"], "url": f"{base}/users/{{id}}"}, {}),
            ("text.shout", {"url": f"{base}/shout"}, {}),
            ("report.build", polling, {"effect": POLLING["effect"], "sensitive": SENSITIVE["sensitive"]}),
        ):
            document = {"name": f"tools/{name}", "http": http, **more}
            tool = Tool()
            assert not fill(document, tool)
            await started.admin.tools.CreateTool(CreateToolRequest(tool=tool))
        yield started


async def run_of(system: GatewaySystem, document: dict[str, Any]) -> str:
    request = json_format.ParseDict({"pipeline": document}, CreateRunRequest())
    return str((await system.admin.runs.CreateRun(request)).name)


async def test_a_step_decides_by_status_and_header(system: GatewaySystem, site: Site) -> None:
    ended = await finished(system.admin, await run_of(system, STEPS))
    assert ended.state == Run.SUCCEEDED, ended.error
    assert ended.output.string_value == '"v7"'
    assert json_format.MessageToDict(ended.steps[-1].output) == {"text": "ANN"}
    missing = {**STEPS, "steps": [{**STEPS["steps"][0], "with": {"id": 8}}, STEPS["steps"][1]]}
    ended = await finished(system.admin, await run_of(system, missing))
    assert (ended.state, ended.steps[-1].state) == (Run.SUCCEEDED, StepRun.SKIPPED), ended.error


async def test_a_result_is_polled_and_its_address_is_visible(system: GatewaySystem, site: Site) -> None:
    document = {"steps": [{"id": "report", "uses": "report.build"}], "output": "${steps.report}"}
    name = await run_of(system, document)
    async with asyncio.timeout(PATIENCE):
        while not (location := await polled_location(system, name)):
            await asyncio.sleep(0.02)
    assert location.endswith("/jobs/1")
    site.is_built = True
    ended = await finished(system.admin, name)
    assert ended.state == Run.SUCCEEDED, ended.error
    assert json_format.MessageToDict(ended.output) == {"state": "done", "token": MASK}
    assert site.calls.count("POST /build") == 1


async def polled_location(system: GatewaySystem, name: str) -> str:
    """Where the result of the only step is polled; empty before that."""
    run = await system.admin.runs.GetRun(GetRunRequest(name=name, view=FULL))
    assert run.state not in {Run.SUCCEEDED, Run.FAILED}, run.error
    outputs = [json_format.MessageToDict(step.output) for step in run.steps if step.HasField("output")]
    return str(outputs[0]["location"]) if outputs else ""
