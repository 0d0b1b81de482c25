"""A token is replaced with an overlap, without more rights and without losing what it descends from."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration

from gateway.authentication import authenticator
from ordinaut.store import identity
from ordinaut.v1.agent_pb2 import AgentToken
from ordinaut.v1.agent_service_pb2 import (
    CreateAgentTokenRequest,
    ListAgentTokensRequest,
    RevokeAgentTokenRequest,
    RotateAgentTokenRequest,
    WhoAmIRequest,
)
from tests.integration.support.gateway_system import Caller, GatewaySystem, gateway_system, refusal


@pytest_asyncio.fixture
async def system(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewaySystem]:
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    async with gateway_system(database_url) as started:
        yield started


async def made(caller: Caller, agent: str, *scopes: str) -> AgentToken:
    request = CreateAgentTokenRequest(parent=f"agents/{agent}", agent_token=AgentToken(scopes=scopes))
    token: AgentToken = await caller.agents.CreateAgentToken(request)
    return token


async def rotated(caller: Caller, name: str, **more: Any) -> AgentToken:
    token: AgentToken = await caller.agents.RotateAgentToken(RotateAgentTokenRequest(name=name, **more))
    return token


async def stored(system: GatewaySystem, name: str) -> Any:
    async with system.database.connection() as connection:
        public_id = name.rpartition("/")[2]
        return await connection.fetchrow("SELECT * FROM agent_token WHERE public_id = $1", public_id)


async def test_both_tokens_are_valid_until_the_overlap_ends(system: GatewaySystem) -> None:
    await system.agent("bot", "tasks:read", "runs:read")
    old = await made(system.admin, "bot", "tasks:read")
    new = await rotated(system.admin, old.name)
    for token in (old, new):
        answer = await system.caller(token.secret).agents.WhoAmI(WhoAmIRequest())
        assert (answer.agent.name, list(answer.scopes)) == ("agents/bot", ["tasks:read"])
    tokens = await system.admin.agents.ListAgentTokens(ListAgentTokensRequest(parent="agents/bot"))
    expiry = {token.name: token.expire_time.ToDatetime(UTC) - datetime.now(UTC) for token in tokens.agent_tokens}
    assert timedelta(hours=23) < expiry[old.name] < timedelta(hours=25)
    assert timedelta(days=89) < expiry[new.name] < timedelta(days=91)


async def test_without_overlap_the_old_token_ends_at_once(system: GatewaySystem) -> None:
    await system.agent("bot", "tasks:read")
    old = await made(system.admin, "bot")
    await rotated(system.admin, old.name, overlap=Duration())
    assert (await refusal(system.caller(old.secret).agents.WhoAmI(WhoAmIRequest()))).code == "UNAUTHENTICATED"


async def test_an_earlier_expiry_is_kept(system: GatewaySystem) -> None:
    await system.agent("bot", "tasks:read")
    soon = AgentToken()
    soon.expire_time.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    old = await system.admin.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/bot", agent_token=soon))
    await rotated(system.admin, old.name, overlap=Duration(seconds=7 * 86400))
    assert (await stored(system, old.name))["expire_time"] < datetime.now(UTC) + timedelta(hours=2)


@pytest.mark.parametrize("seconds", [-1, 7 * 86400 + 1])
async def test_the_overlap_is_limited(system: GatewaySystem, seconds: int) -> None:
    await system.agent("bot", "tasks:read")
    old = await made(system.admin, "bot")
    request = RotateAgentTokenRequest(name=old.name, overlap=Duration(seconds=seconds))
    assert (await refusal(system.admin.agents.RotateAgentToken(request))).fields == ["overlap"]


async def test_a_token_that_rotates_itself_keeps_its_lineage(system: GatewaySystem) -> None:
    maker = await system.agent("maker", "agents:write", "tasks:read")
    old = await made(maker, "maker", "agents:write")
    new = await rotated(system.caller(old.secret), old.name)
    before, after = await stored(system, old.name), await stored(system, new.name)
    assert (after["issuers"], after["issuer"]) == (before["issuers"], before["issuer"])
    assert after["scopes"] == before["scopes"]


async def test_whoever_rotates_anothers_token_is_among_its_issuers(system: GatewaySystem) -> None:
    """It knows the secret: otherwise it could answer its own approvals with it."""
    maker = await system.agent("maker", "agents:write", "tasks:read")
    await system.agent("bot", "tasks:read")
    async with system.database.connection() as connection:
        await connection.execute(
            "UPDATE agent SET creator = (SELECT uid FROM agent WHERE name = 'maker') WHERE name = 'bot'"
        )
    old = await made(system.admin, "bot")
    new = await rotated(maker, old.name)
    assert "agents/maker" in (await stored(system, new.name))["issuers"]
    assert (await stored(system, new.name))["admin_issuers"] == ["agents/admin"]


async def test_rotation_gives_no_more_than_the_caller_has(system: GatewaySystem) -> None:
    """Neither through a wider token of its own agent, nor through another agent."""
    await system.agent("bot", "agents:write", "tasks:read", "state:write")
    wide = await made(system.admin, "bot")
    narrow = system.caller((await made(system.admin, "bot", "agents:write")).secret)
    refused = await refusal(narrow.agents.RotateAgentToken(RotateAgentTokenRequest(name=wide.name)))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "MISSING_SCOPE")
    admin = await made(system.admin, "admin")
    refused = await refusal(narrow.agents.RotateAgentToken(RotateAgentTokenRequest(name=admin.name)))
    assert (refused.code, refused.metadata["scope"]) == ("PERMISSION_DENIED", "admin")


async def test_only_a_valid_token_is_rotated(system: GatewaySystem) -> None:
    await system.agent("bot", "tasks:read")
    old = await made(system.admin, "bot")
    await system.admin.agents.RevokeAgentToken(RevokeAgentTokenRequest(name=old.name))
    refused = await refusal(system.admin.agents.RotateAgentToken(RotateAgentTokenRequest(name=old.name)))
    assert (refused.code, refused.reason, refused.metadata["state"]) == (
        "FAILED_PRECONDITION",
        "TOKEN_STATE",
        "revoked",
    )
    unknown = RotateAgentTokenRequest(name=f"agents/bot/tokens/{'a' * 16}")
    assert (await refusal(system.admin.agents.RotateAgentToken(unknown))).code == "NOT_FOUND"


async def test_a_wrong_checksum_costs_no_look_up(system: GatewaySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    async def looked_up(*_: Any) -> None:
        raise AssertionError("looked up")

    monkeypatch.setattr(identity, "find_credential", looked_up)
    last = "0" if system.admin.token[-1] != "0" else "1"
    caller = system.caller(system.admin.token[:-1] + last)
    assert (await refusal(caller.agents.WhoAmI(WhoAmIRequest()))).code == "UNAUTHENTICATED"


async def test_an_earlier_token_remains_valid(system: GatewaySystem) -> None:
    public_id, secret = "0123456789abcdef", "f" * 64
    token = identity.NewToken(public_id, identity.hash_secret(secret), "")
    async with system.database.connection() as connection:
        await identity.create_token(
            connection, project="default", agent="admin", token=token, scopes=[], expire_time=None
        )
    caller = system.caller(f"ord_{public_id}_{secret}")
    assert (await caller.agents.WhoAmI(WhoAmIRequest())).agent.name == "agents/admin"
    assert (await rotated(caller, f"agents/admin/tokens/{public_id}")).secret.startswith("ord1_")


async def test_a_lost_admin_token_is_replaced_at_the_database(system: GatewaySystem, database_url: str) -> None:
    """Also if the agent was deleted or narrowed; in the project `_` the token may only read audit records."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("DELETE FROM agent_token; UPDATE agent SET scopes = '{tasks:read}'")
        again = system.caller(await identity.recover_token(connection, "default"))
        answer = await again.agents.WhoAmI(WhoAmIRequest())
        assert (answer.agent.name, list(answer.scopes)) == ("agents/admin", ["admin"])
        auditor = system.caller(await identity.recover_token(connection, "_"))
        answer = await auditor.agents.WhoAmI(WhoAmIRequest())
        assert (answer.project, list(answer.scopes)) == ("_", ["audit:read"])
    finally:
        await connection.close()
