"""Agents and tokens say where they come from, and when a token was last used."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from gateway.authentication import token_uses
from ordinaut.store import identity
from ordinaut.v1.agent_pb2 import Agent, AgentToken
from ordinaut.v1.agent_service_pb2 import (
    CreateAgentRequest,
    CreateAgentTokenRequest,
    DeleteAgentRequest,
    ListAgentTokensRequest,
    WhoAmIRequest,
)
from tests.integration.support.gateway_system import GatewaySystem, gateway_system


@pytest_asyncio.fixture
async def system(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewaySystem]:
    monkeypatch.setattr(token_uses, "LINGER_SECONDS", 0.01)
    async with gateway_system(database_url) as started:
        yield started


async def tokens(system: GatewaySystem, agent: str) -> list[AgentToken]:
    listed = await system.admin.agents.ListAgentTokens(ListAgentTokensRequest(parent=f"agents/{agent}"))
    return list(listed.agent_tokens)


async def first_use(system: GatewaySystem, agent: str) -> AgentToken:
    """The agent's only token as soon as its use is stored."""
    async with asyncio.timeout(10):
        while not (await tokens(system, agent))[0].HasField("last_use_time"):
            await asyncio.sleep(0.02)
    return (await tokens(system, agent))[0]


async def test_an_agent_that_is_created_again_has_another_uid(system: GatewaySystem) -> None:
    create = CreateAgentRequest(agent_id="clerk", agent=Agent(scopes=["tasks:read"]))
    first = await system.admin.agents.CreateAgent(create)
    assert UUID(first.uid).version == 7
    await system.admin.agents.DeleteAgent(DeleteAgentRequest(name="agents/clerk"))
    assert (await system.admin.agents.CreateAgent(create)).uid != first.uid


async def test_a_token_names_the_token_that_created_it(system: GatewaySystem) -> None:
    """The first token of a project was created in the database: it has no issuer."""
    [of_admin] = await tokens(system, "admin")
    await system.admin.agents.CreateAgent(CreateAgentRequest(agent_id="clerk", agent=Agent(scopes=["tasks:read"])))
    made = await system.admin.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/clerk"))
    assert (of_admin.issuer, made.issuer) == ("", of_admin.name)
    assert (await tokens(system, "clerk"))[0].issuer == of_admin.name


async def test_the_last_use_of_a_token_is_stored_once_a_minute(system: GatewaySystem) -> None:
    clerk = await system.agent("clerk", "tasks:read")
    assert not (await tokens(system, "clerk"))[0].HasField("last_use_time")
    await clerk.agents.WhoAmI(WhoAmIRequest())
    used = await first_use(system, "clerk")
    public_id = used.name.rpartition("/")[2]
    async with system.database.connection() as connection:
        await identity.note_uses(connection, [public_id])  # another gateway, within the same minute
        assert (await tokens(system, "clerk"))[0].last_use_time == used.last_use_time
        await connection.execute("UPDATE agent_token SET last_use_time = last_use_time - interval '61 seconds'")
        await identity.note_uses(connection, [public_id])
    assert (await tokens(system, "clerk"))[0].last_use_time.ToDatetime() >= used.last_use_time.ToDatetime()
