"""The caller of a call: an agent in a project, with the rights of its token."""

from contextvars import ContextVar
from dataclasses import dataclass

from ordinaut.errors import PermissionDeniedError
from ordinaut.names import granted
from ordinaut.v1.error_pb2 import ErrorReason

AGENTS = "agents/"


@dataclass(frozen=True, slots=True)
class Caller:
    """The agent that a call's token belongs to, with the rights of that token; `token` is its public id."""

    project: str
    agent: str
    scopes: frozenset[str]
    token: str = ""

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


def missing_scope(scope: str) -> PermissionDeniedError:
    """The token lacks `scope`."""
    return PermissionDeniedError(ErrorReason.MISSING_SCOPE, f"the token lacks the scope {scope}", {"scope": scope})
