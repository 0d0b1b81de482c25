"""Where a call comes from: its method, the address of the client, and how the client calls itself."""

from contextvars import ContextVar
from dataclasses import dataclass

from gateway.authentication.client_address import Client, client_address, user_agent

USER_AGENT_MAX = 200


@dataclass(frozen=True, slots=True)
class Origin:
    """The full path of a method, `/package.Service/Method`, and the context of the call."""

    path: str
    context: Client

    @property
    def method(self) -> str:
        """The name of the method."""
        return self.path.rpartition("/")[2]

    @property
    def address(self) -> str:
        """The address of the client, without its port."""
        return client_address(self.context)

    @property
    def user_agent(self) -> str:
        """How the client calls itself, shortened to 200 characters."""
        return user_agent(self.context)[:USER_AGENT_MAX]


ORIGIN: ContextVar[Origin | None] = ContextVar("origin", default=None)
