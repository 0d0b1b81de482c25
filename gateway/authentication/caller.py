"""Who is calling, and what that lets them see."""

from contextvars import ContextVar
from dataclasses import dataclass

from ordinaut.errors import PermissionDeniedError
from ordinaut.names import granted
from ordinaut.v1.error_pb2 import ErrorReason

AGENTS = "agents/"


@dataclass(frozen=True, slots=True)
class Caller:
    """The agent behind a call's token, with the rights of that token; `token` is its public id."""

    project: str
    agent: str
    scopes: frozenset[str]
    token: str = ""

    @property
    def name(self) -> str:
        """The agent's resource name: what `owner` and `publisher` say."""
        return AGENTS + self.agent

    @property
    def token_name(self) -> str:
        """The token's resource name."""
        return f"{self.name}/tokens/{self.token}"

    @property
    def is_admin(self) -> bool:
        """Admins see everything in their project."""
        return "admin" in self.scopes

    @property
    def owner_filter(self) -> str | None:
        """Whose private resources the caller sees; None: everybody's."""
        return None if self.is_admin else self.name

    def may(self, scope: str, resource: str) -> bool:
        """Whether the token's globs let the caller do `scope` with one resource."""
        return granted(self.scopes, scope, resource)

    def require(self, scope: str, resource: str) -> None:
        """Like `may`.

        Raises:
            PermissionDeniedError: MISSING_SCOPE, naming the scope that would do.
        """
        if not self.may(scope, resource):
            raise missing_scope(f"{scope}:{resource}")


CALLER: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """The caller of the call that is being answered."""
    return CALLER.get()


def missing_scope(scope: str) -> PermissionDeniedError:
    """The token lacks `scope`."""
    return PermissionDeniedError(ErrorReason.MISSING_SCOPE, f"the token lacks the scope {scope}", {"scope": scope})
