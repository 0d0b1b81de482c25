"""A value that a tool returns reaches the tools after it, and is then found nowhere: no table, log line or answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from google.protobuf import json_format

from ordinaut.client import Client
from ordinaut.sensitive import MASK
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import ReplayRunRequest
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from tests.acceptance.echo_server import EchoServer
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, run_task
from tests.acceptance.test_secrets_stay_secret import holding, rest
from tests.integration.support.engine_rig import tool_server

CANARY = "canary-TOKEN-2718"
FORMS = [CANARY, "Y2FuYXJ5LVRPS0VOLTI3MTg"]
ENDS = 60.0
MODE = 0o777


async def login(_request: web.Request) -> web.Response:
    return web.json_response({"token": CANARY, "user": "ann"})


def pipeline(status: str) -> dict[str, Any]:
    use = {"token": "${steps.login.token}", "text": "Bearer ${steps.login.token}", "status": status}
    return {
        "version": 1,
        "steps": [
            {"id": "login", "uses": "login"},
            {"id": "pause", "uses": "orchestrator.wait", "with": {"for": "100ms"}},
            {"id": "use", "uses": "echo", "with": use},
        ],
        "output": "${steps.use.input}",
    }


async def register(client: Client, name: str, url: str, *sensitive: str) -> None:
    document = {"name": f"tools/{name}", "http": {"url": url}, "sensitive": sensitive, "retry": {"delay": "0.010s"}}
    await client.tools.CreateTool(CreateToolRequest(tool=json_format.ParseDict(document, Tool())))


async def test_a_canary_is_found_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    answers: list[str] = []
    environment = {"ORDINAUT_LOG_LEVEL": "debug"}
    async with (
        tool_server(login) as port,
        EchoServer() as echo,
        SystemUnderTest(tmp_path / "data", environment=environment) as system,
    ):
        async with system.client() as client:
            await register(client, "login", f"http://127.0.0.1:{port}/", "/output/token")
            await register(client, "echo", echo.url, "/input/token")
            for status in ("200", "400", "500", "cut"):
                await create_task(client, f"echo-{status}", pipeline(status))
                run = await run_task(client, f"echo-{status}")
                await ended(client, [run], ENDS)
                found = await get_run(client, run)
                assert (found.state == Run.SUCCEEDED) == (status == "200"), found.error
                answers.append(json_format.MessageToJson(found, ensure_ascii=False))
                replay = await client.runs.ReplayRun(ReplayRunRequest(name=run))
                assert replay.same, json_format.MessageToJson(replay)
                answers.append(json_format.MessageToJson(replay, ensure_ascii=False))
            answers += [await rest(system, path) for path in ("runs?page_size=100", "events?page_size=100", "tools")]
        assert await system.stop() == 0
    printed = capfd.readouterr()
    answers += [printed.out, printed.err]
    assert {heard["input"]["text"] for heard in echo.heard} == {f"Bearer {CANARY}"}
    assert json.loads(answers[0])["output"]["text"] == f"Bearer {MASK}"
    for form in FORMS:
        assert [answer[:200] for answer in answers if form in answer] == []
        assert holding(tmp_path / "data", form) == []
    assert holding(tmp_path / "data", "[sensitive:1:"), "the journal holds it encrypted: the search finds what is there"
    assert (tmp_path / "data/data.key").stat().st_mode & MODE == 0o600
