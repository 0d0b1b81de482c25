"""UNSAFE tools through the gateway: what is registered, what a run shows of them, and how it is taken up again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from google.protobuf import json_format

from ordinaut.v1.approval_pb2 import Approval
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest, GetApprovalRequest
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    CreateRunRequest,
    GetRunRequest,
    RetryRunRequest,
    WatchRunRequest,
)
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest, GetToolRequest, UpdateToolRequest
from ordinaut.v1.view_pb2 import FULL
from tests.integration.support.engine_rig import tool_server
from tests.integration.support.gateway_system import GatewaySystem, finished, gateway_system, refusal, working

LOOKUP = {"uses": "mail.find", "arguments": {"key": "${idempotency_key}", "limit": 1}}
DOCUMENT = {"steps": [{"id": "send", "uses": "mail.send", "with": {"to": "ann"}}], "output": "${steps.send}"}


class Post:
    """What the tools do: `mail.send` answers while `open` is set, `mail.find` says what stands in `happened`."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.asked: list[Any] = []
        self.open = asyncio.Event()
        self.called = asyncio.Event()
        self.happened: bool | None = True

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/find":
            self.asked.append(await request.json())
            return web.json_response({"happened": self.happened, "output": "found"})
        self.sent.append(request.headers["Idempotency-Key"])
        self.called.set()
        await self.open.wait()
        return web.json_response("answered")


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url, egress="127.0.0.0/8") as started:
        yield started


def tool(word: str, port: int = 1, **fields: Any) -> Tool:
    document = {"name": f"tools/mail.{word}", "http": {"url": f"http://127.0.0.1:{port}/{word}"}, **fields}
    return json_format.ParseDict(document, Tool())


def sender(port: int = 1, **fields: Any) -> Tool:
    document = {"effect": "UNSAFE", "lookup": LOOKUP} | fields
    return tool("send", port, **{key: value for key, value in document.items() if value is not None})


def create(made: Tool) -> CreateToolRequest:
    return CreateToolRequest(tool=made)


async def started(system: GatewaySystem) -> str:
    request = json_format.ParseDict({"pipeline": DOCUMENT}, CreateRunRequest())
    return str((await system.admin.runs.CreateRun(request)).name)


async def test_a_lookup_is_returned_as_it_was_registered(system: GatewaySystem) -> None:
    made = await system.admin.tools.CreateTool(create(sender()))
    assert json_format.MessageToDict(made.lookup) == LOOKUP
    assert (await system.admin.tools.GetTool(GetToolRequest(name=made.name))).effect == Tool.UNSAFE


async def test_a_lookup_must_have_effect_read_and_be_callable(system: GatewaySystem) -> None:
    """It may be registered later than its tool; a pipeline needs both."""
    request = json_format.ParseDict({"pipeline": DOCUMENT}, CreateRunRequest())
    await system.admin.tools.CreateTool(create(sender()))
    assert (await refusal(system.admin.runs.CreateRun(request))).fields == ["pipeline.steps[0].uses"]
    await system.admin.tools.CreateTool(create(tool("find")))
    assert (await refusal(system.admin.runs.CreateRun(request))).fields == ["pipeline.steps[0].uses"]
    refused = await refusal(system.admin.tools.UpdateTool(UpdateToolRequest(tool=sender(description="again"))))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["tool.lookup.uses"])
    await system.admin.tools.UpdateTool(UpdateToolRequest(tool=tool("find", effect="READ")))
    await system.admin.runs.CreateRun(request)
    agent = await system.agent("poster", "tools:write", "tools:call:mail.send")
    refused = await refusal(agent.tools.CreateTool(CreateToolRequest(tool=sender(name="tools/mine"), tool_id="mine")))
    assert (refused.reason, refused.metadata["scope"]) == ("MISSING_SCOPE", "tools:call:mail.find")


async def test_only_unsafe_tools_have_a_lookup(system: GatewaySystem) -> None:
    for wrong, field in (
        (sender(effect="IDEMPOTENT"), "tool.lookup"),
        (sender(lookup={}), "tool.lookup.uses"),
        (sender(lookup={"uses": "Bad Name"}), "tool.lookup.uses"),
        (sender(lookup={"uses": "orchestrator.get_state"}), "tool.lookup.uses"),
        (sender(lookup={"uses": "mail.find", "arguments": {"to": "${inputs.to}"}}), "tool.lookup.arguments"),
        (sender(lookup={"uses": "mail.find", "arguments": {"to": "${input."}}), "tool.lookup.arguments"),
    ):
        refused = await refusal(system.admin.tools.CreateTool(create(wrong)))
        assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", [field])


async def test_an_interrupted_call_is_shown_and_requests_an_approval(system: GatewaySystem, database_url: str) -> None:
    """RUNNING while it is under way and when its run was cancelled; the retry finds that it happened."""
    post = Post()
    async with tool_server(post.answer) as port, working(system, database_url):
        await register(system, port)
        name = await started(system)
        await post.called.wait()
        seen = await beginning(system, name)
        assert (seen.state, seen.attempt, seen.HasField("end_time")) == (StepRun.RUNNING, 1, False)
        assert json_format.MessageToDict(seen.input) == {"to": "ann"}
        await system.admin.runs.CancelRun(CancelRunRequest(name=name))
        cancelled = await finished(system.admin, name)
        assert (cancelled.state, cancelled.steps[0].state) == (Run.CANCELLED, StepRun.RUNNING)
        again = await system.admin.runs.RetryRun(RetryRunRequest(name=name))
        ended = await finished(system.admin, again.name)
    assert (ended.state, ended.output.string_value) == (Run.SUCCEEDED, "found")
    assert [(step.state, step.HasField("end_time")) for step in ended.steps] == [(StepRun.SUCCEEDED, True)]
    assert post.asked == [{"key": post.sent[0], "limit": 1}]
    assert len(post.sent) == 1


async def test_a_retry_of_an_unknown_outcome_begins_with_the_lookup(system: GatewaySystem, database_url: str) -> None:
    """And calls again, with the same key, when it says no."""
    post = Post()
    post.happened = None
    async with tool_server(post.answer) as port, working(system, database_url):
        await register(system, port, timeouts={"run": "0.1s"})
        failed = await answered(system, await started(system), "fail", comment="no trace")
        assert (failed.state, failed.error.code, failed.error.retryable) == (Run.FAILED, "OUTCOME_UNKNOWN", False)
        assert failed.error.message.endswith("agents/admin chose `fail`: no trace")
        assert len(post.asked) == 2
        post.happened = False
        post.open.set()
        again = await system.admin.runs.RetryRun(RetryRunRequest(name=failed.name))
        ended = await finished(system.admin, again.name)
    assert (ended.state, ended.output.string_value) == (Run.SUCCEEDED, "answered")
    assert post.sent == [failed.steps[0].idempotency_key] * 2


async def test_a_retry_of_an_output_that_was_refused_does_not_call_again(
    system: GatewaySystem, database_url: str
) -> None:
    """The call happened; the lookup may have what fits."""
    post = Post()
    post.open.set()
    async with tool_server(post.answer) as port, working(system, database_url):
        await register(system, port, output_schema={"const": "found"})
        failed = await finished(system.admin, await started(system))
        assert (failed.error.code, failed.error.details["happened"]) == ("VALIDATION_OUTPUT", True)
        again = await system.admin.runs.RetryRun(RetryRunRequest(name=failed.name))
        ended = await finished(system.admin, again.name)
    assert (ended.state, ended.output.string_value, len(post.sent)) == (Run.SUCCEEDED, "found", 1)


@pytest.mark.parametrize(("choice", "output", "calls"), [("happened", "told", 1), ("repeat", "answered", 2)])
async def test_an_approval_decides_an_unknown_outcome(
    system: GatewaySystem, database_url: str, choice: str, output: str, calls: int
) -> None:
    """The run waits with a question that its owner may answer; the step shows what was begun."""
    post = Post()
    async with tool_server(post.answer) as port, working(system, database_url):
        await register(system, port, lookup=None, timeouts={"run": "0.1s"})
        name = await started(system)
        asked = await question(system, name)
        run = await system.admin.runs.GetRun(GetRunRequest(name=name))
        assert (run.state, run.waits[0].approval, run.steps[0].state) == (Run.WAITING, asked.name, StepRun.RUNNING)
        assert (asked.subject.tool, list(asked.choices)) == ("mail.send", ["happened", "repeat", "fail"])
        post.open.set()
        ended = await answered(system, name, choice, input="told")
    assert (ended.state, ended.output.string_value) == (Run.SUCCEEDED, output)
    assert [step.attempt for step in ended.steps] == list(range(1, calls + 1))
    assert len(post.sent) == calls


async def question(system: GatewaySystem, name: str) -> Approval:
    """What the run asks, as soon as it waits."""
    async for answer in system.admin.runs.WatchRun(WatchRunRequest(name=name)):
        if answer.run.waits:
            wanted = GetApprovalRequest(name=answer.run.waits[0].approval)
            found: Approval = await system.admin.approvals.GetApproval(wanted)
            return found
    raise AssertionError("the run has ended")


async def answered(system: GatewaySystem, name: str, choice: str, **more: Any) -> Run:
    """The run's end after somebody has answered."""
    asked = await question(system, name)
    fields = {"name": asked.name, "choice": choice, "subject_hash": asked.subject.hash, **more}
    await system.admin.approvals.AnswerApproval(json_format.ParseDict(fields, AnswerApprovalRequest()))
    return await finished(system.admin, name)


async def register(system: GatewaySystem, port: int, **fields: Any) -> None:
    await system.admin.tools.CreateTool(create(tool("find", port, effect="READ", retry={"max": 1, "delay": "0.010s"})))
    await system.admin.tools.CreateTool(create(sender(port, **fields)))


async def beginning(system: GatewaySystem, name: str) -> StepRun:
    """The run's first step as soon as a watch shows it."""
    async for answer in system.admin.runs.WatchRun(WatchRunRequest(name=name, view=FULL)):
        if answer.steps:
            return StepRun.FromString(answer.steps[0].SerializeToString())
    raise AssertionError("the run has ended")
