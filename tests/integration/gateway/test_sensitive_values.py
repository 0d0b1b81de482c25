"""Sensitive values reach tools and later steps, and are found in no answer and no table."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from google.protobuf import json_format

from ordinaut.sensitive import MASK
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest, GetApprovalRequest, ListApprovalsRequest
from ordinaut.v1.event_service_pb2 import ListEventsRequest
from ordinaut.v1.replay_pb2 import StepComparison
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    CreateRunRequest,
    GetRunRequest,
    ListRunStepsRequest,
    ReplayRunRequest,
    RetryRunRequest,
    SimulateRunRequest,
    WatchRunRequest,
)
from ordinaut.v1.task_service_pb2 import ValidateTaskRequest
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CallToolRequest, CreateToolRequest, GetToolRequest
from ordinaut.v1.view_pb2 import FULL
from tests.integration.conftest import fresh_database
from tests.integration.support.engine_rig import tool_server
from tests.integration.support.event_loops import event_loops
from tests.integration.support.gateway_system import GatewaySystem, finished, gateway_system, refusal, working
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOKEN, CARD, PIN = "tok_canary_4711", "4929-canary-0815", 913708154
CANARIES = (TOKEN, CARD, str(PIN), "dG9rX2NhbmFyeV80NzEx")
POINTERS = [
    "/output/token",
    "/output/list/*/key",
    "/output/a~1b/c~0d",
    "/output/nested",
    "/output/absent/x",
    "/input/card/number",
    "/input/pin",
]
ISSUED = {
    "token": TOKEN,
    "list": [{"key": PIN, "name": "x"}, {"key": CARD}],
    "a/b": {"c~d": f"{CARD}/2"},
    "nested": {"deep": [True, TOKEN]},
    "plain": "visible",
}
Heard = list[dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def heard() -> Heard:
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str, heard: Heard) -> AsyncIterator[GatewaySystem]:
    async def handle(request: web.Request) -> web.Response:
        given = await request.json()
        heard.append(given)
        if request.path == "/pay" and len([one for one in heard if "pay" in one]) == 1:
            return web.json_response({"echo": given}, status=500)
        if given.get("fails") and len([one for one in heard if one.get("fails")]) == 1:
            return web.json_response({"echo": given, "more": "x" * 470 + TOKEN}, status=400)
        return web.json_response(given.get("answer", ISSUED if request.path == "/issue" else given))

    async with (
        tool_server(handle) as port,
        fresh_database(postgres_url) as url,
        gateway_system(url, egress="127.0.0.0/8") as started,
        working(started, url),
        event_loops(started.database),
    ):
        for name, sensitive in (("issue", POINTERS), ("use", [])):
            tool = {
                "name": f"tools/{name}",
                "http": {"url": f"http://127.0.0.1:{port}/{name}"},
                "sensitive": sensitive,
                "retry": {"max": 0},
            }
            await started.admin.tools.CreateTool(CreateToolRequest(tool=json_format.ParseDict(tool, Tool())))
        unsafe = {
            "name": "tools/pay",
            "effect": "UNSAFE",
            "http": {"url": f"http://127.0.0.1:{port}/pay"},
            "sensitive": ["/input/card/number"],
        }
        await started.admin.tools.CreateTool(CreateToolRequest(tool=json_format.ParseDict(unsafe, Tool())))
        yield started


async def ran(system: GatewaySystem, *steps: dict[str, Any], **more: Any) -> Run:
    request = json_format.ParseDict({"pipeline": {"steps": steps, **more}}, CreateRunRequest())
    return await finished(system.admin, (await system.admin.runs.CreateRun(request)).name)


async def everything(system: GatewaySystem, name: str) -> str:
    """What each method answers about a run, and every table with its rows."""
    admin = system.admin
    answers = [
        await admin.runs.GetRun(GetRunRequest(name=name, view=FULL)),
        await admin.runs.ListRunSteps(ListRunStepsRequest(parent=name)),
        await admin.approvals.ListApprovals(ListApprovalsRequest(run=name)),
        await admin.events.ListEvents(ListEventsRequest(page_size=1000)),
    ]
    answers += [update async for update in admin.runs.WatchRun(WatchRunRequest(name=name, view=FULL))]
    texts = [json_format.MessageToJson(answer, ensure_ascii=False) for answer in answers]
    return "\n".join([*texts, await tables(system)])


async def tables(system: GatewaySystem) -> str:
    async with system.database.connection() as connection:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [await connection.fetch(f'SELECT t::text FROM "{name[0]}" AS t') for name in names]
    return "\n".join(str(row[0]) for table in rows for row in table)


def assert_hidden(text: str) -> None:
    for canary in CANARIES:
        place = text.find(canary)
        assert place < 0, text[max(0, place - 200) : place + 100]


ISSUE = {"id": "issue", "uses": "issue", "with": {}}


async def test_a_copied_value_reaches_the_next_tool_and_is_shown_nowhere(system: GatewaySystem, heard: Heard) -> None:
    use = {
        "id": "use",
        "uses": "use",
        "with": {
            "auth": "Bearer ${steps.issue.token}",
            "key": "${steps.issue.list[0].key}",
            "all": "${steps.issue}",
            "url": "http://h/?q=${steps.issue.list[1].key}",
        },
    }
    ended = await ran(system, ISSUE, use, output={"got": "${steps.use}", "plain": "${steps.issue.plain}"})
    assert ended.state == Run.SUCCEEDED, ended.error
    assert heard[-1] == {
        "auth": f"Bearer {TOKEN}",
        "key": PIN,
        "all": ISSUED,
        "url": f"http://h/?q={CARD}",
    }
    shown = json_format.MessageToDict(ended.output)
    assert shown["plain"] == "visible"
    assert shown["got"]["auth"] == f"Bearer {MASK}"
    assert (shown["got"]["key"], shown["got"]["all"]["plain"]) == (MASK, "visible")
    first = json_format.MessageToDict(ended.steps[0].output)
    assert first == {
        "token": MASK,
        "list": [{"key": MASK, "name": "x"}, {"key": MASK}],
        "a/b": {"c~d": MASK},
        "nested": MASK,
        "plain": "visible",
    }
    text = await everything(system, ended.name)
    assert_hidden(text)
    assert "[sensitive:process:" in text, "the journal holds what a resumed run needs"
    assert "[sensitive:" not in json_format.MessageToJson(ended)


async def test_a_replay_is_the_same_and_reveals_nothing(system: GatewaySystem) -> None:
    use = {"id": "use", "uses": "use", "with": {"key": "${steps.issue.token}"}}
    ended = await ran(system, ISSUE, {"id": "w", "uses": "orchestrator.wait", "with": {"for": "1ms"}}, use)
    replay = await system.admin.runs.ReplayRun(ReplayRunRequest(name=ended.name))
    differences = [json_format.MessageToDict(step) for step in replay.steps if step.outcome != StepComparison.SAME]
    assert replay.same, differences
    changed = {"steps": [ISSUE, {**use, "with": {"key": "${steps.issue.token}-changed"}}]}
    request = json_format.ParseDict({"name": ended.name, "pipeline": changed}, ReplayRunRequest())
    other = await system.admin.runs.ReplayRun(request)
    assert not other.same
    for answer in (replay, other):
        text = json_format.MessageToJson(answer)
        assert_hidden(text)
        assert "[sensitive:" not in text


async def test_a_resumed_run_has_the_value(system: GatewaySystem, heard: Heard) -> None:
    """After a wait and in a retry, whose first attempt failed with the value in the response."""
    wait = {"id": "w", "uses": "orchestrator.wait", "with": {"for": "10ms"}}
    card = {"number": "${steps.issue.list[1].key}"}
    use = {"id": "use", "uses": "issue", "with": {"card": card, "pin": 12, "fails": True}}
    failed = await ran(system, ISSUE, wait, use)
    assert failed.state == Run.FAILED
    assert failed.error.details["body"] == MASK
    assert_hidden(await everything(system, failed.name))
    retry = await system.admin.runs.RetryRun(RetryRunRequest(name=failed.name))
    again = await finished(system.admin, retry.name)
    assert again.state == Run.SUCCEEDED, again.error
    assert heard[-1] == heard[-2] == {"card": {"number": CARD}, "pin": 12, "fails": True}
    sent = json_format.MessageToDict(again.steps[-1].input)
    assert sent == {"card": {"number": MASK}, "pin": MASK, "fails": True}
    assert_hidden(await everything(system, again.name))


async def test_loops_and_handlers_hide_values(system: GatewaySystem, heard: Heard) -> None:
    loop = {
        "id": "loop",
        "foreach": "${steps.issue.list}",
        "uses": "use",
        "with": {"key": "${item.key}"},
    }
    fail = {
        "id": "fail",
        "uses": "orchestrator.fail",
        "with": {"code": "BAD", "message": "no ${steps.issue.token}", "details": {"k": "${steps.issue.list[0].key}"}},
        "on_error": [{"id": "note", "uses": "use", "with": {"why": "${error.message}"}}],
    }
    ended = await ran(system, ISSUE, loop, fail, output="${steps.loop}")
    assert ended.state == Run.SUCCEEDED, ended.error
    assert [one for one in heard if "key" in one][-2:] == [{"key": PIN}, {"key": CARD}]
    assert heard[-1] == {"why": f"no {TOKEN}"}
    shown: Any = json_format.MessageToDict(ended.output)
    assert shown == [{"key": MASK}, {"key": MASK}]
    assert_hidden(await everything(system, ended.name))


async def test_events_get_the_mask_and_other_stores_refuse(system: GatewaySystem) -> None:
    emit = {"id": "e", "uses": "orchestrator.emit", "with": {"topic": "a.b", "data": {"t": "${steps.issue.token}"}}}
    ended = await ran(system, ISSUE, emit)
    assert ended.state == Run.SUCCEEDED, ended.error
    async with asyncio.timeout(PATIENCE):  # the event gets its position after the run has ended
        while not (listed := await system.admin.events.ListEvents(ListEventsRequest(filter='topic = "a.b"'))).events:
            await asyncio.sleep(0.02)
    assert [json_format.MessageToDict(event.data) for event in listed.events] == [{"t": MASK}]
    token = "${steps.issue.token}"
    child = {"steps": [{"id": "x", "uses": "use", "with": {"k": "${params.k}"}}]}
    for tool, arguments in {
        "put_state": {"namespace": "n", "key": "k", "value": [token]},
        "wait_event": {"topic": "x.y", "timeout": "1s", "match": {"data.k": token}},
        "run_pipeline": {"pipeline": child, "params": {"k": token}},
    }.items():
        refused = await ran(system, ISSUE, {"id": "s", "uses": f"orchestrator.{tool}", "with": arguments})
        assert (refused.state, refused.error.code) == (Run.FAILED, "DENIED"), (tool, refused.error)
        assert refused.error.details["reason"] == "SENSITIVE_VALUE"
        assert_hidden(await everything(system, refused.name))


async def test_an_approver_sees_the_mask_and_the_call_gets_the_value(system: GatewaySystem, heard: Heard) -> None:
    card = {"number": "${steps.issue.list[1].key}", "owner": "ann"}
    gate = {"message": "pay with ${steps.issue.token}?", "allow_self": True, "editable": ["/card", "/amount"]}
    pay = {"id": "pay", "uses": "issue", "with": {"card": card, "amount": 1}, "needs_approval": gate}
    request = json_format.ParseDict({"pipeline": {"steps": [ISSUE, pay]}}, CreateRunRequest())
    name = (await system.admin.runs.CreateRun(request)).name
    question = await asked(system, name)
    shown = json_format.MessageToDict(question.subject.input)
    assert question.message == f"pay with {MASK}?"
    assert shown == {"card": {"number": MASK, "owner": "ann"}, "amount": 1}
    assert_hidden(await everything_live(system, name))
    changed = {**shown, "card": {"number": "other", "owner": "ann"}}
    for edited in (changed, {**shown, "card": {"owner": "ann"}}):
        refused = await refusal(system.admin.approvals.AnswerApproval(reply(question.name, edited)))
        assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["edited_input.card.number"])
    await system.admin.approvals.AnswerApproval(reply(question.name, {**shown, "amount": 2}))
    ended = await finished(system.admin, name)
    assert ended.state == Run.SUCCEEDED, ended.error
    assert heard[-1] == {"card": {"number": CARD, "owner": "ann"}, "amount": 2}
    assert_hidden(await everything(system, name))


def reply(name: str, edited: Any) -> AnswerApprovalRequest:
    return json_format.ParseDict({"name": name, "choice": "approve", "edited_input": edited}, AnswerApprovalRequest())


async def asked(system: GatewaySystem, name: str) -> Any:
    async for update in system.admin.runs.WatchRun(WatchRunRequest(name=name)):
        if update.run.waits:
            request = GetApprovalRequest(name=update.run.waits[0].approval)
            return await system.admin.approvals.GetApproval(request)
    raise AssertionError("the run does not wait")


async def everything_live(system: GatewaySystem, name: str) -> str:
    answer = await system.admin.runs.GetRun(GetRunRequest(name=name, view=FULL))
    return json_format.MessageToJson(answer) + await tables(system)


async def test_a_call_and_a_simulation_answer_with_the_mask(system: GatewaySystem) -> None:
    run = await system.admin.tools.CallTool(json_format.ParseDict({"name": "tools/issue"}, CallToolRequest()))
    assert json_format.MessageToDict(run.output)["token"] == MASK
    mock = {"step": "issue", "output": ISSUED}
    use = {"id": "use", "uses": "use", "with": {"k": "x ${steps.issue.token}"}}
    document = {"pipeline": {"steps": [ISSUE, use]}, "mocks": [mock]}
    simulated = await system.admin.runs.SimulateRun(json_format.ParseDict(document, SimulateRunRequest()))
    text = json_format.MessageToJson(simulated)
    assert_hidden(text)
    assert MASK in text
    assert "[sensitive:" not in text


@pytest.mark.parametrize(
    ("pointer", "expected"),
    [
        ("output.token", "Writes it as `/output/token`."),
        ("/outputs/token", "Writes it as `/output/token`."),
        ("token", None),
        ("/output/a~2", None),
        ("", None),
    ],
)
async def test_a_wrong_pointer_is_refused(system: GatewaySystem, pointer: str, expected: str | None) -> None:
    tool = {"name": "tools/wrong", "http": {"url": "http://127.0.0.1:1/"}, "sensitive": ["/input/x", pointer]}
    refused = await refusal(system.admin.tools.CreateTool(CreateToolRequest(tool=json_format.ParseDict(tool, Tool()))))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["tool.sensitive[1]"])
    assert refused.fixes == (1 if expected else 0)


async def test_a_pointer_outside_of_a_closed_schema_is_refused(system: GatewaySystem) -> None:
    schema = {"type": "object", "properties": {"token": {"type": "string"}}, "additionalProperties": False}
    tool = {
        "name": "tools/closed",
        "http": {"url": "http://127.0.0.1:1/"},
        "output_schema": schema,
        "sensitive": ["/output/tokn"],
    }
    refused = await refusal(system.admin.tools.CreateTool(CreateToolRequest(tool=json_format.ParseDict(tool, Tool()))))
    assert refused.fields == ["tool.sensitive[0]"]


async def test_a_rejected_output_is_not_quoted(system: GatewaySystem) -> None:
    """Neither a short value at the place, nor the object around it."""
    schema = {"type": "object", "properties": {"pin": {"type": "string"}}, "required": ["pin"]}
    tool = {
        "name": "tools/strict",
        "http": {"url": (await system.admin.tools.GetTool(GetToolRequest(name="tools/use"))).http.url},
        "output_schema": schema,
        "sensitive": ["/output/pin"],
        "retry": {"max": 0},
    }
    await system.admin.tools.CreateTool(CreateToolRequest(tool=json_format.ParseDict(tool, Tool())))
    for answer in ({"pin": 7331}, {"other": 7331}, [7331]):
        ended = await ran(system, {"id": "a", "uses": "strict", "with": {"answer": answer}})
        assert ended.error.code == "VALIDATION_OUTPUT"
        assert "7331" not in json.dumps(json_format.MessageToDict(ended.error))
        assert ended.error.details["body"] == MASK


async def test_values_survive_a_restart_between_every_step(system: GatewaySystem) -> None:
    """Many short waits: each ends a segment, and the next one decrypts the journal."""
    steps: list[dict[str, Any]] = [ISSUE]
    for number in range(3):
        steps.append({"id": f"w{number}", "uses": "orchestrator.wait", "with": {"for": "1ms"}})
        steps.append({"id": f"s{number}", "uses": "orchestrator.set", "with": {"t": "${steps.issue}"}})
    async with asyncio.timeout(30):
        ended = await ran(system, *steps, output="${steps.s2.t == steps.issue}")
    assert ended.state == Run.SUCCEEDED, ended.error
    assert ended.output.bool_value
    assert_hidden(await everything(system, ended.name))


async def test_a_parent_gets_the_output_of_its_child(system: GatewaySystem, heard: Heard) -> None:
    """Also a parent without a tool that has sensitive values."""
    child = {"steps": [ISSUE], "output": {"t": "${steps.issue.token}"}}
    start = {"id": "child", "uses": "orchestrator.run_pipeline", "with": {"pipeline": child}}
    use = {"id": "use", "uses": "use", "with": {"t": "${steps.child.t}"}}
    ended = await ran(system, start, use, output="${steps.use}")
    assert ended.state == Run.SUCCEEDED, ended.error
    assert heard[-1] == {"t": TOKEN}
    assert json_format.MessageToDict(ended.output) == {"t": MASK}
    assert_hidden(await everything(system, ended.name))


async def test_a_person_decides_about_an_unsafe_call_without_seeing_the_value(
    system: GatewaySystem, heard: Heard
) -> None:
    """The call is repeated with the value, which the run has from its journal."""
    pay = {"id": "pay", "uses": "pay", "with": {"pay": 1, "card": {"number": "${steps.issue.list[1].key}"}}}
    request = json_format.ParseDict({"pipeline": {"steps": [ISSUE, pay]}}, CreateRunRequest())
    name = (await system.admin.runs.CreateRun(request)).name
    question = await asked(system, name)
    assert json_format.MessageToDict(question.subject.input)["card"] == {"number": MASK}
    assert_hidden(await everything_live(system, name))
    await system.admin.approvals.AnswerApproval(AnswerApprovalRequest(name=question.name, choice="repeat"))
    ended = await finished(system.admin, name)
    assert ended.state == Run.SUCCEEDED, ended.error
    assert heard[-1] == heard[-2] == {"pay": 1, "card": {"number": CARD}}
    assert_hidden(await everything(system, name))
    assert (await system.admin.runs.ReplayRun(ReplayRunRequest(name=name))).same


@pytest.mark.parametrize(
    ("number", "source"),
    [
        ("${params.card.number}", "`params` is stored readably"),
        ("nr ${event.data.number}", "`event` is stored readably"),
        ("4929 0815", "the document is stored readably"),
        ("${secrets.card}", None),
        ("${steps.issue.list[1].key}", None),
    ],
)
async def test_a_readable_source_of_a_sensitive_input_is_a_warning(
    system: GatewaySystem, number: str, source: str | None
) -> None:
    steps = [ISSUE, {"id": "pay", "uses": "pay", "with": {"card": {"number": number}}}]
    task = {"pipeline": {"steps": steps}, "params": {"card": {"number": "x"}}}
    checked = await system.admin.tasks.ValidateTask(json_format.ParseDict({"task": task}, ValidateTaskRequest()))
    place = "steps[1].with.card.number: "
    found = [warning.removeprefix(place) for warning in checked.warnings if warning.startswith(place)]
    assert [source] == [text.partition(",")[0] for text in found] if source else not found


async def test_the_final_steps_of_a_cancelled_run_have_the_value(system: GatewaySystem, heard: Heard) -> None:
    """And an alternative, and a loop that polls."""
    until = {"id": "poll", "until": "steps.again.done", "every": "100ms", "do": [
        {"id": "again", "uses": "use", "with": {"key": "${steps.issue.token}", "done": True}},
    ]}  # fmt: skip
    late = {"id": "late", "uses": "orchestrator.wait", "with": {"for": "1h"}}
    final = [{"id": "logout", "uses": "use", "with": {"logout": "${steps.issue.token}"}}]
    document = {"pipeline": {"steps": [ISSUE, until, late], "finally": final}}
    request = json_format.ParseDict(document, CreateRunRequest())
    name = (await system.admin.runs.CreateRun(request)).name
    async for update in system.admin.runs.WatchRun(WatchRunRequest(name=name)):
        if update.run.waits:
            break
    assert heard[-1] == {"key": TOKEN, "done": True}
    await system.admin.runs.CancelRun(CancelRunRequest(name=name))
    ended = await finished(system.admin, name)
    assert ended.state == Run.CANCELLED
    assert heard[-1] == {"logout": TOKEN}
    assert_hidden(await everything(system, name))
