"""Converts stored agents and tokens to API messages, and checks scopes."""

import hashlib
from collections.abc import Sequence

import orjson

from gateway.api.json_values import timestamp
from gateway.authentication.caller import Caller, missing_scope, missing_scopes, priority_not_allowed
from ordinaut.errors import NotFoundError
from ordinaut.names import covers
from ordinaut.store import identity
from ordinaut.store.identity import AgentRecord, TokenRecord
from ordinaut.store.sql import Connection
from ordinaut.v1.agent_pb2 import Agent, AgentToken

DEFAULT_MIN_PRIORITY = 3


def to_agent(record: AgentRecord) -> Agent:
    """Converts an agent."""
    return Agent(
        name=f"agents/{record.name}",
        uid=str(record.uid),
        display_name=record.display_name,
        scopes=record.scopes,
        create_time=timestamp(record.create_time),
        etag=agent_etag(record),
        min_priority=record.min_priority,
    )


def agent_etag(record: AgentRecord) -> str:
    """Returns a hash of the fields that callers can change."""
    content = orjson.dumps([record.display_name, record.scopes, record.min_priority])
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def to_token(agent: str, record: TokenRecord, secret: str = "") -> AgentToken:
    """Converts a token; `secret` is set only in the response that creates it."""
    message = AgentToken(
        name=f"agents/{agent}/tokens/{record.public_id}",
        scopes=record.scopes,
        create_time=timestamp(record.create_time),
        secret=secret,
        issuer=record.issuer,
    )
    if record.expire_time is not None:
        message.expire_time.FromDatetime(record.expire_time)
    if record.revoke_time is not None:
        message.revoke_time.FromDatetime(record.revoke_time)
    if record.last_use_time is not None:
        message.last_use_time.FromDatetime(record.last_use_time)
    return message


async def existing_agent(connection: Connection, caller: Caller, name: str) -> AgentRecord:
    """Returns an agent of the caller's project.

    Raises:
        NotFoundError: the agent does not exist.
    """
    agent = await identity.get_agent(connection, caller.project, name)
    if agent is None:
        raise NotFoundError.of(f"agents/{name}")
    return agent


async def require_authority(connection: Connection, caller: Caller, name: str) -> None:
    """Requires that the caller acts for an agent: is it, has created it or one of its creators, or is an admin.

    Raises:
        PermissionDeniedError: MISSING_SCOPE, with `admin`.
    """
    if caller.is_admin or name == caller.agent:
        return
    if caller.agent_uid is None or not await identity.is_creator(
        connection, project=caller.project, name=name, creator=caller.agent_uid
    ):
        raise missing_scope("admin")


def require_min_priority(caller: Caller, min_priority: int) -> None:
    """Requires that the caller may use the priority that it grants.

    Raises:
        PermissionDeniedError: PRIORITY_NOT_ALLOWED.
    """
    if min_priority < caller.min_priority:
        raise priority_not_allowed(caller.name, min_priority, caller.min_priority)


def require_scopes(caller: Caller, scopes: Sequence[str]) -> None:
    """Requires that the caller has all of these scopes.

    Raises:
        PermissionDeniedError: MISSING_SCOPE, with all missing scopes.
    """
    if missing := [scope for scope in scopes if not covers(caller.scopes, scope)]:
        raise missing_scopes(missing, caller.name)
