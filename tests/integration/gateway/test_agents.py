"""Agents change and go; their rights go with them at once, and nobody changes whom they could not have made."""

from collections.abc import AsyncIterator
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
    DeleteAgentRequest,
    GetAgentRequest,
    ListAgentTokensRequest,
    RevokeAgentTokenRequest,
    UpdateAgentRequest,
    WhoAmIRequest,
)
from ordinaut.v1.run_service_pb2 import CreateRunRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    CreateTaskRequest,
    DeleteTaskRequest,
    ValidateTaskRequest,
)
from tests.integration.support.gateway_system import GatewaySystem, Refusal, a_task, gateway_system, refusal

SOME = ("tasks:read", "tasks:write")


@pytest_asyncio.fixture
async def system(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewaySystem]:
    """One that looks at tokens anew at each call."""
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    async with gateway_system(database_url) as started:
        yield started


def changed(name: str, *paths: str, **fields: object) -> UpdateAgentRequest:
    agent = Agent(name=f"agents/{name}", **fields)  # type: ignore[arg-type]
    return UpdateAgentRequest(agent=agent, update_mask=FieldMask(paths=paths))


async def test_an_agents_rights_and_name_change(system: GatewaySystem) -> None:
    """Its tokens follow, workers read the rights anew, and a mask keeps the rest."""
    agent = await system.agent("clerk", *SOME)
    async with system.database.connection() as connection:
        before = await connection.fetchval("SELECT revision FROM project WHERE name = 'default'")
    renamed = await system.admin.agents.UpdateAgent(changed("clerk", display_name="Clerk"))
    assert (renamed.display_name, list(renamed.scopes)) == ("Clerk", list(SOME))
    less = await system.admin.agents.UpdateAgent(changed("clerk", "scopes", scopes=["tasks:read"]))
    assert (less.display_name, list(less.scopes)) == ("Clerk", ["tasks:read"])
    assert list((await agent.agents.WhoAmI(WhoAmIRequest())).scopes) == ["tasks:read"]
    async with system.database.connection() as connection:
        assert await connection.fetchval("SELECT revision FROM project WHERE name = 'default'") > before
    assert less == await system.admin.agents.GetAgent(GetAgentRequest(name="agents/clerk"))


async def test_a_stale_etag_is_refused(system: GatewaySystem) -> None:
    """In updates and deletions; an agent can be sent back as it was read."""
    await system.agent("clerk", *SOME)
    read = await system.admin.agents.GetAgent(GetAgentRequest(name="agents/clerk"))
    assert await system.admin.agents.UpdateAgent(UpdateAgentRequest(agent=read)) == read
    await system.admin.agents.UpdateAgent(changed("clerk", display_name="Other"))
    for call in (
        system.admin.agents.UpdateAgent(UpdateAgentRequest(agent=read)),
        system.admin.agents.DeleteAgent(DeleteAgentRequest(name="agents/clerk", etag=read.etag)),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == ("ABORTED", "ETAG_MISMATCH")


async def test_changing_an_agent_requires_all_its_scopes(system: GatewaySystem) -> None:
    """Those that it has and those that it gets."""
    limited = await system.agent("limited", "agents:write", "tasks:read")
    for name in ("clerk", "reader"):
        await limited.agents.CreateAgent(CreateAgentRequest(agent_id=name, agent=Agent(scopes=["tasks:read"])))
    await system.admin.agents.UpdateAgent(changed("clerk", scopes=SOME))
    for request in (changed("clerk", display_name="x"), changed("reader", scopes=["tasks:write"])):
        refused = await refusal(limited.agents.UpdateAgent(request))
        assert (refused.code, refused.metadata["scopes"]) == ("PERMISSION_DENIED", "tasks:write")
    refused = await refusal(limited.agents.DeleteAgent(DeleteAgentRequest(name="agents/clerk")))
    assert refused.metadata["scopes"] == "tasks:write"
    assert await limited.agents.UpdateAgent(changed("reader", display_name="x"))


async def test_an_agent_acts_only_for_those_that_descend_from_it(system: GatewaySystem) -> None:
    """Also if it has all their scopes; an admin acts for all."""
    parent, other = await system.agent("parent", "agents:write"), await system.agent("other", "agents:write")
    await parent.agents.CreateAgent(CreateAgentRequest(agent_id="child", agent=Agent(scopes=["agents:write"])))
    token = await parent.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/child"))
    child = system.caller(token.secret)
    await child.agents.CreateAgent(CreateAgentRequest(agent_id="grandchild", agent=Agent()))
    assert await parent.agents.UpdateAgent(changed("grandchild", display_name="x"))
    for call in (
        other.agents.UpdateAgent(changed("child", display_name="x")),
        other.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/child")),
        other.agents.RevokeAgentToken(RevokeAgentTokenRequest(name=token.name)),
        other.agents.DeleteAgent(DeleteAgentRequest(name="agents/grandchild")),
        child.agents.UpdateAgent(changed("parent", display_name="x")),
    ):
        refused = await refusal(call)
        assert (refused.reason, refused.metadata["scopes"]) == ("MISSING_SCOPE", "admin")


async def test_an_agent_cannot_reduce_its_own_scopes(system: GatewaySystem) -> None:
    """So that a project always has somebody who can give them back."""
    for call in (
        system.admin.agents.UpdateAgent(changed("admin", scopes=["tasks:read"])),
        system.admin.agents.DeleteAgent(DeleteAgentRequest(name="agents/admin")),
    ):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "RESERVED")
    assert await system.admin.agents.UpdateAgent(changed("admin", display_name="Root"))


async def test_an_invalid_change_is_refused_with_all_violations(system: GatewaySystem) -> None:
    await system.agent("clerk", *SOME)
    refused = await refusal(
        system.admin.agents.UpdateAgent(changed("clerk", "nope", "create_time", display_name=" ", scopes=["root"]))
    )
    assert refused.fields == ["update_mask", "update_mask", "agent.display_name", "agent.scopes[0]"]


async def test_a_deleted_agent_cannot_authenticate(system: GatewaySystem) -> None:
    """Its tokens are like unknown ones; while it owns tasks it stays."""
    agent = await system.agent("clerk", *SOME)
    await agent.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="mine"))
    delete = DeleteAgentRequest(name="agents/clerk")
    refused = await refusal(system.admin.agents.DeleteAgent(delete))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "AGENT_OWNS_TASKS")
    assert refused.metadata == {"resource": "agents/clerk", "tasks": "1"}
    await agent.tasks.DeleteTask(DeleteTaskRequest(name="tasks/mine"))
    await system.admin.agents.DeleteAgent(delete)
    assert (await refusal(agent.agents.WhoAmI(WhoAmIRequest()))).code == "UNAUTHENTICATED"
    assert (await refusal(system.admin.agents.GetAgent(GetAgentRequest(name="agents/clerk")))).code == "NOT_FOUND"
    assert (await refusal(system.admin.agents.DeleteAgent(delete))).code == "NOT_FOUND"


async def test_tokens_are_listed_without_their_secrets(system: GatewaySystem) -> None:
    """Page by page, revoked ones with their moment."""
    await system.agent("clerk", *SOME)
    made = AgentToken(scopes=["tasks:read"])
    token = await system.admin.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/clerk", agent_token=made))
    await system.admin.agents.RevokeAgentToken(RevokeAgentTokenRequest(name=token.name))
    found: list[AgentToken] = []
    page_token = ""
    while True:
        request = ListAgentTokensRequest(parent="agents/clerk", page_size=1, page_token=page_token)
        page = await system.admin.agents.ListAgentTokens(request)
        found += page.agent_tokens
        if not (page_token := page.next_page_token):
            break
    assert [shown.name for shown in found] == sorted(shown.name for shown in found)
    assert len(found) == 2
    assert not any(shown.secret for shown in found)
    revoked = {shown.name: shown.HasField("revoke_time") for shown in found}
    assert revoked.pop(token.name)
    assert list(revoked.values()) == [False]
    refused = await refusal(system.admin.agents.ListAgentTokens(ListAgentTokensRequest(parent="agents/nobody")))
    assert refused.code == "NOT_FOUND"


async def test_all_missing_scopes_come_at_once(system: GatewaySystem) -> None:
    """Those of the method and of every step, with the command that grants them."""
    steps = [
        {"id": "a", "uses": "mail.send", "with": {"to": "${secrets.box}"}},
        {"id": "b", "uses": "orchestrator.emit", "with": {"topic": "a.b"}},
        {"id": "c", "uses": "orchestrator.run_task", "with": {"task": "report"}},
    ]
    needed = ["tools:call:mail.send", "secrets:use:box", "events:publish:a.b", "tasks:run:report"]
    task = json_format.ParseDict({"pipeline": {"steps": steps}}, Task())
    poor, run = (
        await system.agent("poor", "tasks:read"),
        json_format.ParseDict({"pipeline": {"steps": steps}}, CreateRunRequest()),
    )
    batch = BatchCreateTasksRequest(requests=[CreateTaskRequest(task=task)])
    for call, scope in (
        (poor.tasks.CreateTask(CreateTaskRequest(task=task)), "tasks:write"),
        (poor.tasks.ValidateTask(ValidateTaskRequest(task=task)), "tasks:write"),
        (poor.tasks.BatchCreateTasks(batch), "tasks:write"),
        (poor.runs.CreateRun(run), "runs:write"),
    ):
        info = await denied(call)
        assert info.metadata["scopes"].split(",") == [scope, *needed]
        granted = " ".join(f"--scope {name}" for name in [scope, *needed])
        assert info.metadata["command"] == f"ordinaut agent grant poor {granted}"


async def test_all_scopes_that_cannot_be_granted_come_at_once(system: GatewaySystem) -> None:
    keeper = await system.agent("keeper", "agents:write", "tasks:read")
    agent = Agent(scopes=["tasks:read", "tasks:write", "runs:read"])
    info = await denied(keeper.agents.CreateAgent(CreateAgentRequest(agent_id="x", agent=agent)))
    assert info.metadata["scopes"] == "tasks:write,runs:read"


async def test_a_restricted_token_is_told_apart_from_its_agent(system: GatewaySystem) -> None:
    await system.agent("wide", "tasks:read", "tasks:write")
    request = CreateAgentTokenRequest(parent="agents/wide", agent_token=AgentToken(scopes=["tasks:read"]))
    narrow = system.caller((await system.admin.agents.CreateAgentToken(request)).secret)
    info = await denied(narrow.tasks.DeleteTask(DeleteTaskRequest(name="tasks/x")))
    assert info.metadata["command"] == "ordinaut agent token create wide"


async def denied(call: Any) -> Refusal:
    """The error of a call that is refused for its scopes."""
    refused = await refusal(call)
    assert refused.reason == "MISSING_SCOPE"
    return refused
