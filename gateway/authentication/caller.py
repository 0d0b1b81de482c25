"""The caller of a call: an agent in a project, with the rights of its token."""

from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from uuid import UUID

from ordinaut.errors import PermissionDeniedError, Violation
from ordinaut.names import covers, granted
from ordinaut.v1.error_pb2 import ErrorReason

AGENTS = "agents/"


@dataclass(frozen=True, slots=True)
class Caller:
    """The agent that a call's token belongs to, with the rights of that token; `token` is its public id.

    `agent_scopes` are the rights of the agent, which a token may restrict, `agent_uid` its uid. `issuers` are the
    agents of the tokens that the token descends from, those whose token had `admin` in `admin_issuers`. `token_since`
    and `token_until` are the times of its creation and expiry. `min_priority` is the most urgent priority of the agent.
    """

    project: str
    agent: str
    scopes: frozenset[str]
    token: str = ""
    agent_scopes: frozenset[str] = frozenset()
    agent_uid: UUID | None = None
    issuers: frozenset[str] = frozenset()
    admin_issuers: frozenset[str] = frozenset()
    token_since: datetime | None = None
    token_until: datetime | None = None
    min_priority: int = 1

    @property
    def name(self) -> str:
        """The agent's resource name, as in `owner` and `publisher`."""
        return AGENTS + self.agent

    @property
    def token_name(self) -> str:
        """The token's resource name."""
        return f"{self.name}/tokens/{self.token}"

    @property
    def is_admin(self) -> bool:
        """Whether the caller may read and change everything in its project."""
        return "admin" in self.scopes

    @property
    def owner_filter(self) -> str | None:
        """The only owner of private resources that the caller may see; None for all owners."""
        return None if self.is_admin else self.name

    def may(self, scope: str, resource: str) -> bool:
        """Whether the token grants `scope` for one resource; tokens may limit a scope to resources by glob."""
        return granted(self.scopes, scope, resource)

    def require(self, scope: str, resource: str) -> None:
        """Requires what `may` tests.

        Raises:
            PermissionDeniedError: MISSING_SCOPE, with the scope that would suffice.
        """
        if not self.may(scope, resource):
            raise missing_scope(f"{scope}:{resource}")


CALLER: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """The caller of the call that is being processed."""
    return CALLER.get()


def priority_not_allowed(agent: str, priority: int, limit: int) -> PermissionDeniedError:
    """What `agent` (`agents/…`) owns may not be as urgent as `priority`."""
    return PermissionDeniedError(
        ErrorReason.PRIORITY_NOT_ALLOWED,
        f"the priority must be at least {limit}, the min_priority of {agent} (got {priority})",
        {"subject": agent, "limit": limit, "priority": priority},
    )


def missing_scope(scope: str) -> PermissionDeniedError:
    """The token of the caller lacks `scope`."""
    return missing_scopes([scope], current_caller().name)


def missing_scopes(scopes: Iterable[str], agent: str, violations: Sequence[Violation] = ()) -> PermissionDeniedError:
    """The error for all scopes that `agent` (`agents/…`) lacks, with the command that grants them."""
    distinct = list(dict.fromkeys(scopes))
    caller = current_caller()
    is_caller = agent == caller.name
    holder = "the token" if is_caller else f"{agent}, the owner of the task,"
    noun = "scope" if len(distinct) == 1 else "scopes"
    command = _granting_command(distinct, agent, caller.agent_scopes if is_caller else frozenset())
    return PermissionDeniedError(
        ErrorReason.MISSING_SCOPE,
        f"{holder} lacks the {noun} {', '.join(distinct)}; as an admin, run: {command}",
        {"scope": distinct[0], "scopes": ",".join(distinct), "command": command},
        violations,
    )


def _granting_command(scopes: Sequence[str], agent: str, agent_scopes: frozenset[str]) -> str:
    name = agent.removeprefix(AGENTS)
    missing = [scope for scope in scopes if not covers(agent_scopes, scope)]
    if not missing:  # the agent has them all, but its token is restricted
        return f"ordinaut agent token create {name}"
    return f"ordinaut agent grant {name} {' '.join(f'--scope {quote(scope)}' for scope in missing)}"
