"""RotateAgentToken: replaces a token; the old one remains valid for a while, so that clients can change over.

The new token has the scopes of the old one and descends from the same tokens. Whoever rotates the token of another
agent learns its secret, so the new token also descends from that of the caller.
"""

from datetime import timedelta

from gateway.agents.conversion import require_scopes, to_token
from gateway.agents.issue import TokenLifetimes, expire_time, expires_in_past, lineage, written_out
from gateway.api.idempotency import Mutation
from gateway.api.violations import Problems
from gateway.authentication.caller import Caller
from ordinaut.errors import FailedPreconditionError, NotFoundError
from ordinaut.names import intersection
from ordinaut.store import identity
from ordinaut.store.identity import AgentRecord, LockedToken, NewToken
from ordinaut.store.sql import Connection
from ordinaut.v1.agent_pb2 import AgentToken
from ordinaut.v1.agent_service_pb2 import RotateAgentTokenRequest
from ordinaut.v1.error_pb2 import ErrorReason

DEFAULT_OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=7)


def overlap_of(request: RotateAgentTokenRequest) -> timedelta:
    """Returns how long the old token remains valid.

    Raises:
        InvalidArgumentError: it is negative or longer than 7 days.
    """
    overlap = request.overlap.ToTimedelta() if request.HasField("overlap") else DEFAULT_OVERLAP
    problems = Problems()
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        problems.add("overlap", f"must be 0s to {LONGEST_OVERLAP.days} days (got {request.overlap.ToJsonString()})")
    problems.check()
    return overlap


async def rotate(
    connection: Connection,
    caller: Caller,
    agent: AgentRecord,
    public_id: str,
    request: RotateAgentTokenRequest,
    lifetimes: TokenLifetimes,
    mutation: Mutation[AgentToken],
) -> AgentToken:
    """Replaces a token of an agent that the caller may act for.

    Raises:
        NotFoundError: the agent does not have the token.
        FailedPreconditionError: TOKEN_STATE: it has expired or is revoked.
        InvalidArgumentError: the agent has lost all scopes of the token.
        PermissionDeniedError: MISSING_SCOPE: the token has more scopes than the caller.
    """
    old = await _valid(connection, caller, agent, public_id, request.name)
    mutation.replaces(to_token(agent.name, old.token))
    if agent.name != caller.agent:
        require_scopes(caller, agent.scopes)
    scopes = _scopes(caller, agent, old)
    expires = await expire_time(connection, caller, request, "expire_time", lifetimes)
    is_itself = (agent.name, public_id) == (caller.agent, caller.token)
    added = lineage(caller) if not is_itself else (set[str](), set[str]())
    new = NewToken.make()
    record = await identity.create_token(
        connection,
        project=caller.project,
        agent=agent.name,
        token=new,
        scopes=scopes,
        expire_time=expires,
        issuer=old.token.issuer if is_itself else caller.token_name,
        issuers=sorted(added[0].union(old.issuers)),
        admin_issuers=sorted(added[1].union(old.admin_issuers)),
    )
    if record is None:
        raise expires_in_past("expire_time", request.expire_time)
    await identity.expire_token(connection, public_id=public_id, overlap=overlap_of(request))
    return to_token(agent.name, record, new.text)


async def _valid(connection: Connection, caller: Caller, agent: AgentRecord, public_id: str, name: str) -> LockedToken:
    old = await identity.lock_token(connection, project=caller.project, agent=agent.name, public_id=public_id)
    if old is None:
        raise NotFoundError.of(name)
    if not old.valid:
        state = "revoked" if old.token.revoke_time else "expired"
        raise FailedPreconditionError(
            ErrorReason.TOKEN_STATE, f"{name} must be valid (is {state})", {"resource": name, "state": state}
        )
    return old


def _scopes(caller: Caller, agent: AgentRecord, old: LockedToken) -> list[str]:
    """The scopes of the old token; "all that the agent ever has" is written out unless an admin rotates it."""
    if not old.token.scopes and caller.is_admin:
        return []
    all_scopes = frozenset(agent.scopes)
    remaining = intersection(frozenset(old.token.scopes), all_scopes) if old.token.scopes else all_scopes
    scopes = written_out(remaining, agent.name, "name")
    require_scopes(caller, scopes)
    return scopes
