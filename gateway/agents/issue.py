"""CreateAgentToken: what a new token may do, and until when.

A token never has more than the caller: neither by its own scopes, nor through its agent, because an agent can obtain
all its scopes from whatever it may start. So the caller needs every scope of an agent that is not its own.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.agents.conversion import require_scopes, to_token
from gateway.api.json_values import to_datetime
from gateway.authentication.caller import Caller
from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.names import covers, intersection
from ordinaut.store import identity
from ordinaut.store.database_clock import database_now
from ordinaut.store.identity import AgentRecord, NewToken
from ordinaut.store.sql import Connection
from ordinaut.v1.agent_pb2 import AgentToken
from ordinaut.v1.agent_service_pb2 import CreateAgentTokenRequest, RotateAgentTokenRequest


@dataclass(frozen=True, slots=True)
class TokenLifetimes:
    """The lifetime of a token without `expire_time`, and the longest of any token."""

    default: timedelta
    longest: timedelta


async def issue(
    connection: Connection,
    caller: Caller,
    agent: AgentRecord,
    request: CreateAgentTokenRequest,
    lifetimes: TokenLifetimes,
) -> AgentToken:
    """Creates a token of an agent that the caller may act for.

    Raises:
        PermissionDeniedError: MISSING_SCOPE: the caller lacks a scope of the agent or of the token.
        InvalidArgumentError: the agent lacks a scope of the token; the expiry is in the past or too late.
    """
    if agent.name != caller.agent:
        require_scopes(caller, agent.scopes)
    scopes = _scopes(caller, agent, request)
    expires = await expire_time(connection, caller, request.agent_token, "agent_token.expire_time", lifetimes)
    token = NewToken.make()
    issuers, admin_issuers = lineage(caller)
    record = await identity.create_token(
        connection,
        project=caller.project,
        agent=agent.name,
        token=token,
        scopes=scopes,
        expire_time=expires,
        issuer=caller.token_name,
        issuers=sorted(issuers),
        admin_issuers=sorted(admin_issuers),
    )
    if record is None:
        raise expires_in_past("agent_token.expire_time", request.agent_token.expire_time)
    return to_token(agent.name, record, token.text)


def lineage(caller: Caller) -> tuple[set[str], set[str]]:
    """Returns `issuers` and `admin_issuers` (as in Credential) of a token that the caller makes."""
    issuers, admin_issuers = set(caller.issuers), set(caller.admin_issuers)
    (admin_issuers if caller.is_admin else issuers).add(caller.name)
    return issuers, admin_issuers


def expires_in_past(field: str, time: Timestamp) -> InvalidArgumentError:
    """The expiry of a new token is in the past."""
    return InvalidArgumentError.of([Violation(field, f"must be in the future (got {time.ToJsonString()})")])


def _scopes(caller: Caller, agent: AgentRecord, request: CreateAgentTokenRequest) -> list[str]:
    """The scopes of the token, written out; empty, which means all that the agent ever has, only from an admin."""
    wanted, all_scopes = list(request.agent_token.scopes), frozenset(agent.scopes)
    missing = [scope for scope in wanted if not covers(all_scopes, scope)]
    if missing:
        message = f"must be scopes of agents/{agent.name}, which lacks {', '.join(missing)}"
        raise InvalidArgumentError.of([Violation("agent_token.scopes", message)])
    require_scopes(caller, wanted)
    if wanted or caller.is_admin:
        return wanted
    return written_out(intersection(all_scopes, caller.scopes), agent.name, "agent_token.scopes")


def written_out(scopes: frozenset[str], agent: str, field: str) -> list[str]:
    """Returns the scopes of a token that no admin makes; without any it would get those that its agent gets later.

    Raises:
        InvalidArgumentError: there are none.
    """
    if not scopes:
        message = f"the token would have no scopes: agents/{agent} has none that it may have; give it some first"
        raise InvalidArgumentError.of([Violation(field, message)])
    return sorted(scopes)


async def expire_time(
    connection: Connection,
    caller: Caller,
    wish: AgentToken | RotateAgentTokenRequest,
    field: str,
    lifetimes: TokenLifetimes,
) -> datetime:
    """Returns the expiry of a new token: the wished one, or the default.

    Raises:
        InvalidArgumentError: it is later than that of the caller's token, or than the longest lifetime.
    """
    now = await database_now(connection)
    latest = now + lifetimes.longest
    if not caller.is_admin and caller.token_until is not None:
        latest = min(latest, caller.token_until)
    if not wish.HasField("expire_time"):
        return min(now + lifetimes.default, latest)
    wanted = to_datetime(wish.expire_time)
    if wanted > latest:
        reason = "the expiry of the token that asks for it, or the longest lifetime of a token"
        message = f"must be at most {latest.isoformat(timespec='seconds')}, {reason} (got {wanted.isoformat()})"
        raise InvalidArgumentError.of([Violation(field, message)])
    return wanted
