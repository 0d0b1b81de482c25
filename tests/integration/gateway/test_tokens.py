"""Agents and tokens: nobody gives a right that they lack, and what is revoked ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.authentication import authenticator
from ordinaut.v1.agent_pb2 import Agent, AgentToken
from ordinaut.v1.agent_service_pb2 import (
    CreateAgentRequest,
    CreateAgentTokenRequest,
    GetAgentRequest,
    ListAgentsRequest,
    RevokeAgentTokenRequest,
    WhoAmIRequest,
)
from ordinaut.v1.event_service_pb2 import WatchEventsRequest
from tests.integration.support.gateway_system import GatewaySystem, gateway_system, refusal
from tests.patience import PATIENCE


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


async def test_a_token_identifies_agent_and_project(system: GatewaySystem) -> None:
    """WhoAmI needs no scope."""
    agent = await system.agent("reader", "tasks:read")
    me = await agent.agents.WhoAmI(WhoAmIRequest())
    assert (me.agent.name, me.project, list(me.scopes)) == ("agents/reader", "default", ["tasks:read"])


async def test_callers_cannot_grant_scopes_that_they_lack(system: GatewaySystem) -> None:
    """Neither to an agent, nor by a token of a mightier one, nor takes a mightier one's token away."""
    limited = await system.agent("limited", "agents:write", "agents:read", "tools:call:mail.*")
    fine = CreateAgentRequest(agent_id="mailer", agent=Agent(scopes=["tools:call:mail.send"]))
    await limited.agents.CreateAgent(fine)
    for request in (
        limited.agents.CreateAgent(CreateAgentRequest(agent_id="boss", agent=Agent(scopes=["admin"]))),
        limited.agents.CreateAgent(CreateAgentRequest(agent_id="caller", agent=Agent(scopes=["tools:call"]))),
        limited.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/admin")),
        limited.agents.RevokeAgentToken(RevokeAgentTokenRequest(name="agents/admin/tokens/0123456789abcdef")),
    ):
        refused = await refusal(request)
        assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "MISSING_SCOPE")


async def test_scopes_of_a_token_are_limited_by_its_agent(system: GatewaySystem) -> None:
    """And what the agent loses, its tokens lose."""
    await system.agent("half", "tasks:read", "tasks:write")
    wider = CreateAgentTokenRequest(parent="agents/half", agent_token=AgentToken(scopes=["runs:read"]))
    refused = await refusal(system.admin.agents.CreateAgentToken(wider))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["agent_token.scopes"])
    part = CreateAgentTokenRequest(parent="agents/half", agent_token=AgentToken(scopes=["tasks:read"]))
    token = await system.admin.agents.CreateAgentToken(part)
    me = await system.caller(token.secret).agents.WhoAmI(WhoAmIRequest())
    assert list(me.scopes) == ["tasks:read"]
    async with system.database.connection() as connection:
        await connection.execute("UPDATE agent SET scopes = '{tasks:write}' WHERE name = 'half'")
    fresh = await system.admin.agents.CreateAgentToken(
        CreateAgentTokenRequest(parent="agents/half", agent_token=AgentToken(scopes=["tasks:write"]))
    )
    me = await system.caller(fresh.secret).agents.WhoAmI(WhoAmIRequest())
    assert list(me.scopes) == ["tasks:write"]


async def test_a_secret_is_returned_once(system: GatewaySystem) -> None:
    """A repeated request says so instead of showing, or making, another."""
    await system.agent("one", "tasks:read")
    request = CreateAgentTokenRequest(parent="agents/one", request_id="abc")
    await system.admin.agents.CreateAgentToken(request)
    refused = await refusal(system.admin.agents.CreateAgentToken(request))
    assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "SECRET_NOT_KEPT")
    async with system.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM agent_token WHERE agent = 'one'") == 2


async def test_expired_and_revoked_tokens_are_refused_like_unknown_ones(
    system: GatewaySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer for all; a revoked token is believed no longer than the cache may hold it."""
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    past = Timestamp(seconds=1_000_000_000)
    late = CreateAgentTokenRequest(parent="agents/admin", agent_token=AgentToken(expire_time=past))
    refused = await refusal(system.admin.agents.CreateAgentToken(late))
    assert refused.fields == ["agent_token.expire_time"]
    token = await system.admin.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/admin"))
    caller = system.caller(token.secret)
    await caller.agents.WhoAmI(WhoAmIRequest())
    await system.admin.agents.RevokeAgentToken(RevokeAgentTokenRequest(name=token.name))
    await system.admin.agents.RevokeAgentToken(RevokeAgentTokenRequest(name=token.name))
    revoked = await refusal(caller.agents.WhoAmI(WhoAmIRequest()))
    assert revoked == await refusal(system.caller("").agents.WhoAmI(WhoAmIRequest()))
    expiring = await system.admin.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/admin"))
    async with system.database.connection() as connection:
        statement = "UPDATE agent_token SET expire_time = clock_now() WHERE public_id = $1"
        await connection.execute(statement, expiring.name.rpartition("/")[2])
    assert await refusal(system.caller(expiring.secret).agents.WhoAmI(WhoAmIRequest())) == revoked


async def test_a_cached_token_is_read_again_after_two_seconds(system: GatewaySystem) -> None:
    """What the cache holds dies with its own deadline, however often it is used meanwhile."""
    token = await system.admin.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/admin"))
    caller = system.caller(token.secret)
    await caller.agents.WhoAmI(WhoAmIRequest())
    await system.admin.agents.RevokeAgentToken(RevokeAgentTokenRequest(name=token.name))
    loop = asyncio.get_running_loop()
    revoked_at = loop.time()

    async def until_refused() -> None:
        while True:
            try:
                await caller.agents.WhoAmI(WhoAmIRequest())
            except Exception:  # noqa: BLE001 - its code is compared below
                return

    async with asyncio.timeout(PATIENCE):
        await until_refused()
    assert loop.time() - revoked_at < authenticator.CACHE_SECONDS + 1
    assert (await refusal(caller.agents.WhoAmI(WhoAmIRequest()))).code == "UNAUTHENTICATED"


async def test_a_stream_ends_when_its_token_is_revoked(system: GatewaySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nothing happens on it."""
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(authenticator, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr("gateway.events.watch.RECHECK_SECONDS", 0.05)
    token = await system.admin.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/admin"))
    stream = system.caller(token.secret).events.WatchEvents(WatchEventsRequest())
    ending = asyncio.create_task(refusal(stream))
    await system.admin.agents.RevokeAgentToken(RevokeAgentTokenRequest(name=token.name))
    assert (await ending).code == "UNAUTHENTICATED"


async def test_agents_are_listed_by_name_page_by_page(system: GatewaySystem) -> None:
    """Only those of the caller's project."""
    await system.project("elsewhere")
    for name in ("zoe", "bob"):
        await system.agent(name, "tasks:read")
    first = await system.admin.agents.ListAgents(ListAgentsRequest(page_size=2))
    second = await system.admin.agents.ListAgents(ListAgentsRequest(page_size=2, page_token=first.next_page_token))
    assert [agent.name for page in (first, second) for agent in page.agents] == [
        "agents/admin",
        "agents/bob",
        "agents/zoe",
    ]
    assert not second.next_page_token
    assert (await system.admin.agents.GetAgent(GetAgentRequest(name="agents/bob"))).scopes == ["tasks:read"]


async def test_an_invalid_agent_is_refused_with_all_violations(system: GatewaySystem) -> None:
    """Id, scopes and text at once."""
    wrong = CreateAgentRequest(agent_id="Bob", agent=Agent(display_name="a\x07b", scopes=["tasks:fly", "tasks:read"]))
    refused = await refusal(system.admin.agents.CreateAgent(wrong))
    assert refused.fields == ["agent_id", "agent.display_name", "agent.scopes[0]"]
    taken = await refusal(system.admin.agents.CreateAgent(CreateAgentRequest(agent_id="admin")))
    assert (taken.code, taken.reason) == ("ALREADY_EXISTS", "RESOURCE_EXISTS")
