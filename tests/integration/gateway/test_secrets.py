"""Who may refer to a secret: the owner of a pipeline, and who registers a tool."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest, GetRunRequest
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CallToolRequest, CreateToolRequest, UpdateToolRequest
from tests.integration.support.gateway_system import GatewaySystem, finished, gateway_system, refusal, working

URL = "http://127.0.0.1:1/x"


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        await started.admin.tools.CreateTool(created("open"))
        yield started


def created(tool_id: str, **http: Any) -> CreateToolRequest:
    tool = json_format.ParseDict({"http": {"url": URL, **http}}, Tool())
    return CreateToolRequest(tool=tool, tool_id=tool_id)


def using(text: str, tool: str = "open") -> CreateRunRequest:
    step = {"id": "a", "uses": tool, "with": {"key": [text]}}
    return json_format.ParseDict({"pipeline": {"steps": [step]}}, CreateRunRequest())


async def test_the_owner_of_a_pipeline_needs_the_scope_of_its_secrets(system: GatewaySystem) -> None:
    agent = await system.agent("caller", "tools:call", "runs:write", "runs:read", "secrets:use:mail_*")
    await agent.runs.CreateRun(using("${secrets.mail_key}"))
    refused = await refusal(agent.runs.CreateRun(using("x ${secrets.bank_key}")))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "MISSING_SCOPE")
    assert (refused.metadata["scope"], refused.fields) == ("secrets:use:bank_key", ["pipeline.steps[0].uses"])


async def test_registering_a_tool_requires_the_scope_of_its_secret(system: GatewaySystem) -> None:
    """Also when it is changed; a value that stands where the name belongs is not repeated."""
    agent = await system.agent("maker", "tools:write", "tools:read", "secrets:use:mail_key")
    made = await agent.tools.CreateTool(created("mine", auth={"bearer": {"secret": "mail_key"}}))
    assert made.http.auth.bearer.secret == "mail_key"
    made.http.auth.basic.secret = "bank_key"
    refused = await refusal(agent.tools.UpdateTool(UpdateToolRequest(tool=made)))
    assert (refused.reason, refused.metadata["scope"]) == ("MISSING_SCOPE", "secrets:use:bank_key")
    refused = await refusal(agent.tools.CreateTool(created("other", auth={"bearer": {"secret": "CANARY-4711"}})))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["tool.http.auth.bearer.secret"])


async def test_a_secret_reference_in_a_call_is_literal_text(system: GatewaySystem, database_url: str) -> None:
    """CallTool takes values: what looks like a reference is none, and needs no scope."""
    agent = await system.agent("caller", "tools:call", "runs:write", "runs:read")
    async with working(system, database_url):
        request = json_format.ParseDict(
            {"name": "tools/open", "input": {"k": "${secrets.mail_key}"}}, CallToolRequest()
        )
        run = await agent.tools.CallTool(request)
        run = await agent.runs.GetRun(GetRunRequest(name=run.name))
    assert json_format.MessageToDict(run.steps[0].input) == {"k": "${secrets.mail_key}"}
    assert run.error.details["reason"] == "EGRESS_DENIED", "no secret was looked for"


@pytest.mark.parametrize("auth", [None, {"bearer": {"secret": "mail_key"}}])
async def test_a_missing_secret_is_reported(system: GatewaySystem, database_url: str, auth: Any) -> None:
    """Not retried; the reference is what is recorded."""
    await system.admin.tools.CreateTool(created("keyed", **({"auth": auth} if auth else {})))
    text = "plain" if auth else "${secrets.mail_key}"
    async with working(system, database_url):
        run = await system.admin.runs.CreateRun(using(text, "keyed"))
        ended = await finished(system.admin, run.name)
    assert (ended.state, ended.error.code, ended.error.message) == (
        Run.FAILED,
        "DENIED",
        "the secret mail_key does not exist, for keyed",
    )
    assert json_format.MessageToDict(ended.error.details) == {"reason": "SECRET_UNAVAILABLE", "secret": "mail_key"}
    assert [json_format.MessageToDict(step.input) for step in ended.steps] == [{"key": [text]}]
