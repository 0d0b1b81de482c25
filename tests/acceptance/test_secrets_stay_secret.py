"""A secret reaches the tool that it is for, and is then found nowhere: no table, log line, event, error or answer."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from google.protobuf import json_format

from ordinaut.client import Client
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from tests.acceptance.echo_server import EchoServer
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, run_task

KEY, TOKEN, PASSWORD, ROTATED = "canary-KEY-4711", "canary-TOKEN-0815", "canary PASS/wörd", "canary-ROTATED-9"
CANARIES = [KEY, TOKEN, PASSWORD, ROTATED, quote(PASSWORD), "Y2FuYXJ5", "YW5uOmNhbmFyeSBQQVNT"]
"""The values, as URLs write them, and as Basic authentication does."""
WITH = {"key": "${secrets.key}", "text": "a ${secrets.key} b", "status": "${params.status}"}
ENDS = 60.0


def tool(name: str, url: str, **http: Any) -> CreateToolRequest:
    document = {"name": f"tools/echo.{name}", "http": {"url": url, **http}, "retry": {"max": 1, "delay": "0.010s"}}
    return CreateToolRequest(tool=json_format.ParseDict(document, Tool()))


TOOLS: dict[str, dict[str, Any]] = {
    "bearer": {"auth": {"bearer": {"secret": "token"}}},
    "basic": {"auth": {"basic": {"user": "ann", "secret": "password"}}},
    "header": {"auth": {"header": {"name": "X-Key", "secret": "token"}}},
    "query": {"method": "GET"},
}


def calls(name: str) -> dict[str, Any]:
    return {"version": 1, "steps": [{"id": "say", "uses": f"echo.{name}", "with": WITH}], "output": "${steps.say}"}


async def test_a_canary_is_found_nowhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secrets = tmp_path / "secrets" / "default"
    secrets.mkdir(parents=True)
    for name, value in (("key", KEY), ("token", TOKEN), ("password", PASSWORD)):
        (secrets / name).write_text(f"{value}\n")
    environment = {"ORDINAUT_SECRETS_DIR": str(secrets.parent), "ORDINAUT_LOG_LEVEL": "debug"}
    answers: list[str] = []
    async with EchoServer() as echo, SystemUnderTest(tmp_path / "data", environment=environment) as system:
        async with system.client() as client:
            for name, http in TOOLS.items():
                await client.tools.CreateTool(tool(name, echo.url, **http))
            await every_way(client, answers)
            assert_heard(echo)
            (secrets / "key").write_text(ROTATED)
            before = len(echo.heard)
            await one(client, "query", "200", Run.SUCCEEDED, answers)
            assert echo.heard[before]["input"]["key"] == ROTATED, "a changed file is read again"
            (secrets / "key").unlink()
            failed = await one(client, "query", "200", Run.FAILED, answers)
            assert (failed.error.code, failed.error.details["reason"]) == ("DENIED", "SECRET_UNAVAILABLE")
            answers += [await rest(system, path) for path in ("runs?page_size=100", "events?page_size=100", "tools")]
        assert await system.stop() == 0
    told = capfd.readouterr()
    answers += [told.out, told.err]
    for canary in CANARIES:
        assert [answer[:200] for answer in answers if canary in answer] == []
        assert holding(tmp_path / "data", canary) == []
    assert holding(tmp_path / "data", "${secrets.key}"), "the reference is recorded: the search finds what is there"


async def every_way(client: Client, answers: list[str]) -> None:
    for name in TOOLS:
        await one(client, name, "200", Run.SUCCEEDED, answers)
        for status in ("400", "500", "cut"):
            await one(client, name, status, Run.FAILED, answers)


async def one(client: Client, name: str, status: str, state: Run.State.ValueType, answers: list[str]) -> Run:
    task_id = f"{name}-{status}-{len(answers)}"
    await create_task(client, task_id, calls(name), params={"status": status})
    run = await run_task(client, task_id)
    await ended(client, [run], ENDS)
    found = await get_run(client, run)
    assert found.state == state, found.error
    answers.append(json_format.MessageToJson(found, ensure_ascii=False))
    return found


def assert_heard(echo: EchoServer) -> None:
    """The tools got what was meant for them."""
    assert {heard["input"]["text"] for heard in echo.heard} == {f"a {KEY} b"}
    sent = {heard["headers"].get("Authorization") for heard in echo.heard}
    assert f"Bearer {TOKEN}" in sent
    assert TOKEN in {heard["headers"].get("X-Key") for heard in echo.heard}
    assert any(str(header).startswith("Basic YW5uOmNhbmFyeSBQQVNT") for header in sent)


async def rest(system: SystemUnderTest, path: str) -> str:
    headers = {"Authorization": f"Bearer {system.said['token']}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{system.said['rest']}/v1/{path}") as got,
    ):
        assert got.status == 200
        return await got.text()


def holding(folder: Path, text: str) -> list[str]:
    """The files of stores, write-ahead logs included, that hold a text."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
