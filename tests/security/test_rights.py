"""A token's scopes hold at any distance: in what it saves, starts, issues and answers."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.authentication import authenticator
from ordinaut.v1.agent_pb2 import Agent, AgentToken
from ordinaut.v1.agent_service_pb2 import (
    CreateAgentRequest,
    CreateAgentTokenRequest,
    RotateAgentTokenRequest,
    UpdateAgentRequest,
    WhoAmIRequest,
)
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest, ListApprovalsRequest
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import PublishEventRequest
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest, ReplayRunRequest
from ordinaut.v1.state_service_pb2 import PutStateEntryRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest, UpdateTaskRequest
from ordinaut.v1.tool_service_pb2 import CreateToolRequest, UpdateToolRequest
from tests.integration.support.gateway_system import (
    Caller,
    GatewaySystem,
    a_task,
    finished,
    gateway_system,
    refusal,
    working,
)
from tests.patience import PATIENCE

READ_SECRET = {"uses": "orchestrator.get_state", "with": {"namespace": "${params.ns}", "key": "k"}}
ALL = ("state:read", "state:write", "tasks:write", "tasks:read", "tasks:run", "runs:write", "runs:read", "agents:write")


@pytest_asyncio.fixture
async def system(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewaySystem]:
    """With a worker; tokens are read anew at each call."""
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    async with gateway_system(database_url) as started, working(started, database_url):
        yield started


async def narrowed(system: GatewaySystem, name: str, *scopes: str) -> Caller:
    """The agent with a token that is restricted to these scopes."""
    request = CreateAgentTokenRequest(parent=f"agents/{name}", agent_token=AgentToken(scopes=scopes))
    return system.caller((await system.admin.agents.CreateAgentToken(request)).secret)


def reading(*steps: dict[str, Any], ns: str = "private") -> dict[str, Any]:
    listed = [{"id": f"s{place}", **step} for place, step in enumerate(steps or (READ_SECRET,))]
    return {"pipeline": {"version": 1, "steps": listed, "output": "${steps.s0}"}, "params": {"ns": ns}}


def error_code(run: Run) -> str:
    return run.error.code if run.state == Run.FAILED else Run.State.Name(run.state)


async def a_run(caller: Caller, document: dict[str, Any]) -> Run:
    run = await caller.runs.CreateRun(json_format.ParseDict(document, CreateRunRequest()))
    return await finished(caller, run.name)


async def test_a_run_without_a_task_has_the_rights_of_the_token(system: GatewaySystem) -> None:
    """Not those of its agent: with a computed namespace, and through another pipeline."""
    whole = await system.agent("worker", *ALL)
    narrow = await narrowed(system, "worker", "runs:write", "runs:read", "state:read:public")
    assert error_code(await a_run(whole, reading())) == "SUCCEEDED"
    assert error_code(await a_run(narrow, reading(ns="public"))) == "SUCCEEDED"
    assert error_code(await a_run(narrow, reading())) == "DENIED"


async def test_a_computed_pipeline_has_the_rights_of_its_parent(system: GatewaySystem) -> None:
    await system.agent("worker", *ALL)
    narrow = await narrowed(system, "worker", "runs:write", "runs:read", "state:read:public")
    through = {"uses": "orchestrator.run_pipeline", "with": {"pipeline": "${params.document}"}}
    document = reading(through)
    document["params"]["document"] = reading()["pipeline"]
    await narrow.runs.CreateRun(json_format.ParseDict(document, CreateRunRequest()))
    query = (
        "SELECT v.scopes FROM due_work AS d JOIN task_version AS v ON v.task = d.task AND v.version = d.task_version"
        " WHERE d.kind = 'CHILD' UNION ALL SELECT v.scopes FROM run AS d JOIN task_version AS v ON v.task = d.task"
        " AND v.version = d.task_version WHERE d.kind = 'CHILD'"
    )
    async with system.database.connection() as connection, asyncio.timeout(PATIENCE):
        while (scopes := await connection.fetchval(query)) is None:
            continue
    assert scopes == ["runs:read", "runs:write", "state:read:public"]


async def test_a_task_has_the_rights_of_the_token_that_saved_it(system: GatewaySystem) -> None:
    """Whoever starts it, and whatever becomes of the token."""
    whole = await system.agent("worker", *ALL)
    narrow = await narrowed(system, "worker", "tasks:write", "state:read:public")
    task = json_format.ParseDict(reading(), Task())
    created = await narrow.tasks.CreateTask(CreateTaskRequest(task=task, task_id="spy"))
    assert list(created.scopes) == ["state:read:public", "tasks:write"]
    run = await whole.tasks.RunTask(RunTaskRequest(name="tasks/spy"))
    assert error_code(await finished(whole, run.name)) == "DENIED"
    saved = await whole.tasks.UpdateTask(
        UpdateTaskRequest(
            task=Task(name="tasks/spy", pipeline=task.pipeline), update_mask=FieldMask(paths=["pipeline"])
        )
    )
    assert saved.version == 2
    run = await whole.tasks.RunTask(RunTaskRequest(name="tasks/spy"))
    assert error_code(await finished(whole, run.name)) == "SUCCEEDED"
    parent = reading({"uses": "orchestrator.run_task", "with": {"task": "tasks/spy", "wait": True}})
    starter = await narrowed(system, "worker", "runs:write", "runs:read", "tasks:run:other")
    refused = await refusal(starter.runs.CreateRun(json_format.ParseDict(parent, CreateRunRequest())))
    assert refused.metadata["scopes"] == "tasks:run:spy"


async def test_an_update_by_a_narrower_token_narrows_the_version(system: GatewaySystem) -> None:
    whole = await system.agent("worker", *ALL)
    narrow = await narrowed(system, "worker", "tasks:write", "state:read:public")
    await whole.tasks.CreateTask(CreateTaskRequest(task=json_format.ParseDict(reading(), Task()), task_id="t"))
    change = Task(name="tasks/t")
    change.run_policy.priority = 6
    changed = await narrow.tasks.UpdateTask(
        UpdateTaskRequest(task=change, update_mask=FieldMask(paths=["run_policy.priority"]))
    )
    assert any("may do less" in warning for warning in changed.warnings)
    run = await whole.tasks.RunTask(RunTaskRequest(name="tasks/t"))
    assert error_code(await finished(whole, run.name)) == "DENIED"


async def test_a_run_loses_what_its_owner_loses(system: GatewaySystem) -> None:
    whole = await system.agent("worker", *ALL)
    await whole.tasks.CreateTask(CreateTaskRequest(task=json_format.ParseDict(reading(), Task()), task_id="t"))
    less = Agent(name="agents/worker", scopes=[scope for scope in ALL if scope != "state:read"])
    await system.admin.agents.UpdateAgent(UpdateAgentRequest(agent=less, update_mask=FieldMask(paths=["scopes"])))
    run = await whole.tasks.RunTask(RunTaskRequest(name="tasks/t"))
    assert error_code(await finished(whole, run.name)) == "DENIED"


async def test_a_replay_with_another_document_needs_the_callers_rights(system: GatewaySystem) -> None:
    whole = await system.agent("worker", *ALL, "tools:call")
    run = await a_run(whole, reading())
    narrow = await narrowed(system, "worker", "runs:read")
    request = ReplayRunRequest(name=run.name)
    json_format.ParseDict(
        {"version": 1, "steps": [{"id": "s0", **READ_SECRET, "with": {"namespace": "other", "key": "k"}}]},
        request.pipeline,
    )
    assert (await refusal(narrow.runs.ReplayRun(request))).metadata["scopes"] == "state:read:other"


async def test_tokens_never_have_more_than_their_issuer(system: GatewaySystem) -> None:
    """Neither by their scopes, nor by their agent, nor by their expiry; what is left out is written out."""
    minter = await system.agent("minter", "agents:write", "runs:write", "runs:read")
    await minter.agents.CreateAgent(CreateAgentRequest(agent_id="child", agent=Agent(scopes=["runs:write"])))
    await system.admin.agents.UpdateAgent(
        UpdateAgentRequest(
            agent=Agent(name="agents/child", scopes=["runs:write", "state:read"]),
            update_mask=FieldMask(paths=["scopes"]),
        )
    )
    for request in (
        CreateAgentTokenRequest(parent="agents/admin", agent_token=AgentToken(scopes=["runs:write"])),
        CreateAgentTokenRequest(parent="agents/child", agent_token=AgentToken(scopes=["runs:write"])),
    ):
        assert (await refusal(minter.agents.CreateAgentToken(request))).reason == "MISSING_SCOPE"
    narrow = await narrowed(system, "minter", "agents:write", "runs:read")
    own = await narrow.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/minter"))
    assert list(own.scopes) == ["agents:write", "runs:read"]
    default = own.expire_time.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(days=89) < default <= timedelta(days=90)


@pytest.mark.parametrize("days", [91, 366])
async def test_a_token_expires_with_its_issuer_and_after_a_year_at_most(system: GatewaySystem, days: int) -> None:
    caller = system.admin if days > 365 else await system.agent("minter", "agents:write")
    name = "agents/admin" if days > 365 else "agents/minter"
    late = AgentToken()
    late.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    refused = await refusal(caller.agents.CreateAgentToken(CreateAgentTokenRequest(parent=name, agent_token=late)))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["agent_token.expire_time"])


ASK = {
    "pipeline": {
        "version": 1,
        "steps": [
            {
                "id": "s0",
                "uses": "orchestrator.request_approval",
                "with": {"message": "Pay?", "expires_in": "1h", "assignees": ["boss"]},
            }
        ],
    }
}


async def asked(system: GatewaySystem, caller: Caller) -> str:
    run = await caller.runs.CreateRun(json_format.ParseDict(ASK, CreateRunRequest()))
    while not (found := (await system.admin.approvals.ListApprovals(ListApprovalsRequest(run=run.name))).approvals):
        continue
    return str(found[0].name)


async def rotation(system: GatewaySystem, by: Caller, old: Caller) -> Caller:
    """The successor of a token, which `by` makes."""
    agent = (await old.agents.WhoAmI(WhoAmIRequest())).agent.name
    name = f"{agent}/tokens/{old.token.split('_')[1]}"
    return system.caller((await by.agents.RotateAgentToken(RotateAgentTokenRequest(name=name))).secret)


async def test_a_requester_cannot_answer_through_a_token_that_it_has_made(system: GatewaySystem) -> None:
    """By its own agent, by one that it has created, and by tokens of such a token, and not by rotating any of them."""
    scopes = ("runs:write", "runs:read", "approvals:read", "approvals:write", "agents:write")
    requester = await system.agent("requester", *scopes)
    await requester.agents.CreateAgent(CreateAgentRequest(agent_id="boss", agent=Agent(scopes=scopes)))
    puppet = system.caller(
        (await requester.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/boss"))).secret
    )
    second = system.caller((await puppet.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/boss"))).secret)
    independent = await narrowed(system, "boss", *scopes)
    rotated = await rotation(system, puppet, puppet)
    taken_over = await rotation(system, requester, await narrowed(system, "boss", *scopes))
    own = await rotation(system, requester, requester)
    name = await asked(system, requester)
    answer = AnswerApprovalRequest(name=name, choice="approve")
    for caller, via in (
        (requester, "agent"),
        (own, "agent"),
        (puppet, "issuer"),
        (second, "issuer"),
        (rotated, "issuer"),
        (taken_over, "issuer"),
    ):
        refused = await refusal(caller.approvals.AnswerApproval(answer))
        assert (refused.reason, refused.metadata["via"]) == ("SELF_APPROVAL", via)
    assert await independent.approvals.AnswerApproval(answer)


async def test_an_admin_cannot_make_a_token_after_asking(system: GatewaySystem) -> None:
    """The one that it has made before may answer."""
    before = await system.agent("boss", "approvals:read", "approvals:write")
    name = await asked(system, system.admin)
    after = await narrowed(system, "boss", "approvals:read", "approvals:write")
    answer = AnswerApprovalRequest(name=name, choice="approve")
    assert (await refusal(after.approvals.AnswerApproval(answer))).reason == "SELF_APPROVAL"
    assert await before.approvals.AnswerApproval(answer)


def event_task(topic: str) -> Task:
    return a_task(schedule={"triggers": [{"event": {"topic": topic}}]})


@pytest.mark.parametrize("topic", ["payroll.>", "payroll.paid", "*", "*.received", "mail.*.x", ">"])
async def test_triggers_see_only_topics_that_the_token_may_read(system: GatewaySystem, topic: str) -> None:
    caller = await system.agent("worker", "tasks:write", "events:read:mail.r*")
    refused = await refusal(caller.tasks.CreateTask(CreateTaskRequest(task=event_task(topic), task_id="t")))
    assert (refused.reason, refused.fields) == ("MISSING_SCOPE", ["task.schedule.triggers[0].event.topic"])
    assert await caller.tasks.CreateTask(CreateTaskRequest(task=event_task("mail.received"), task_id="t"))


async def test_a_trigger_is_denied_while_its_owner_may_not_read_the_topic(system: GatewaySystem) -> None:
    caller = await system.agent("worker", "tasks:write", "events:read:mail.*")
    await caller.tasks.CreateTask(CreateTaskRequest(task=event_task("mail.received"), task_id="t"))
    for scopes, denied in ((["tasks:write"], True), (["tasks:write", "events:read"], False)):
        agent = Agent(name="agents/worker", scopes=scopes)
        await system.admin.agents.UpdateAgent(UpdateAgentRequest(agent=agent, update_mask=FieldMask(paths=["scopes"])))
        async with system.database.connection() as connection:
            assert await connection.fetchval("SELECT denied FROM event_trigger") is denied


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"topic": "ordinaut"}, "RESERVED"),
        ({"topic": "ordinaut.x"}, "RESERVED"),
        ({"topic": "a.b", "source": "agents/admin"}, "MISSING_SCOPE"),
        ({"topic": "a.b", "source": "tasks/x"}, "MISSING_SCOPE"),
        ({"topic": "a.b", "source": "ordinaut"}, "MISSING_SCOPE"),
        ({"topic": "a.b", "source": "agents/worker"}, ""),
        ({"topic": "a.b", "source": "https://shop.example"}, ""),
    ],
)
async def test_events_do_not_pass_as_those_of_others(system: GatewaySystem, event: dict[str, str], reason: str) -> None:
    caller = await system.agent("worker", "events:publish")
    call = caller.events.PublishEvent(PublishEventRequest(event=json_format.ParseDict(event, Event())))
    assert (await refusal(call)).reason == reason if reason else await call


@pytest.mark.parametrize(
    "scope",
    [
        "system:read:x",
        "admin:x",
        "state:read:ns/key",
        "tasks:read:a.b",
        "runs:write:a_b",
        "events:write",
        "secrets:use:A",
        "tools:call:a*b*c*d*e*",
    ],
)
async def test_globs_that_bind_nothing_are_refused(system: GatewaySystem, scope: str) -> None:
    request = CreateAgentRequest(agent_id="a", agent=Agent(scopes=[scope]))
    assert (await refusal(system.admin.agents.CreateAgent(request))).fields == ["agent.scopes[0]"]


async def test_a_glob_of_a_task_binds_runs_and_new_tasks(system: GatewaySystem) -> None:
    caller = await system.agent("worker", "runs:write:nightly", "tasks:write:nightly")
    document = json_format.ParseDict(
        {"pipeline": {"version": 1, "steps": [{"id": "a", "uses": "orchestrator.set", "with": {}}]}}, CreateRunRequest()
    )
    assert (await refusal(caller.runs.CreateRun(document))).metadata["scopes"] == "runs:write:-"
    for task_id in ("", "other"):
        refused = await refusal(caller.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id=task_id)))
        assert refused.metadata["scopes"] == f"tasks:write:{task_id or '-'}"
    assert await caller.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="nightly"))


async def test_a_stored_response_needs_the_scopes_of_the_request(system: GatewaySystem) -> None:
    whole = await system.agent("worker", *ALL)
    narrow = await narrowed(system, "worker", "tasks:write:other")
    request = CreateTaskRequest(task=a_task(), task_id="secret-task", request_id="once")
    created = await whole.tasks.CreateTask(request)
    assert (await refusal(narrow.tasks.CreateTask(request))).reason == "MISSING_SCOPE"
    assert await whole.tasks.CreateTask(request) == created


async def test_a_tool_with_a_secret_changes_only_with_the_right_to_the_secret(system: GatewaySystem) -> None:
    """Otherwise a new URL would receive it."""
    whole = await system.agent("worker", "tools:write", "secrets:use:key")
    narrow = await narrowed(system, "worker", "tools:write")
    tool = {
        "http": {"method": "POST", "url": "https://a.example/", "auth": {"bearer": {"secret": "key"}}},
        "effect": "READ",
    }
    await whole.tools.CreateTool(json_format.ParseDict({"tool": tool, "tool_id": "t.x"}, CreateToolRequest()))
    for path, value in (
        ("http.url", {"http": {"url": "https://evil.example/"}}),
        ("http.auth", {}),
        ("description", {"description": "x"}),
    ):
        change = json_format.ParseDict({"tool": {"name": "tools/t.x", **value}}, UpdateToolRequest())
        change.update_mask.paths.append(path)
        assert (await refusal(narrow.tools.UpdateTool(change))).metadata["scopes"] == "secrets:use:key"


async def test_state_by_a_computed_key_is_checked_in_the_run(system: GatewaySystem) -> None:
    await system.admin.state.PutStateEntry(
        json_format.ParseDict({"entry": {"name": "state/private/k", "value": 1}}, PutStateEntryRequest())
    )
    narrow = await system.agent("worker", "runs:write", "runs:read", "state:write:public")
    step = {"uses": "orchestrator.put_state", "with": {"namespace": "${params.ns}", "key": "k", "value": 2}}
    assert error_code(await a_run(narrow, reading(step))) == "DENIED"
