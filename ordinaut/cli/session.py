"""The global options of a command and the client that they configure."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import typer

from ordinaut.cli import token_store
from ordinaut.client import Client
from ordinaut.client.client import DEFAULT_ADDRESS
from ordinaut.client.retry import RetryPolicy

Result = TypeVar("Result")
RETRY_POLICY = RetryPolicy(give_up_after=3.0, max_delay=1.0)  # a restart of the gateway; a person waits for the error


@dataclass(frozen=True, slots=True)
class Session:
    """The global options of one command; without a token, the one of `ordinaut login` is used."""

    address: str = DEFAULT_ADDRESS
    token: str = ""
    as_json: bool = False

    def call(self, work: Callable[[Client], Awaitable[Result]]) -> Result:
        """Runs `work` with a connected client."""
        return asyncio.run(self._call(work))

    async def _call(self, work: Callable[[Client], Awaitable[Result]]) -> Result:
        token = self.token or token_store.load(self.address)
        async with Client(self.address, token, retry=RETRY_POLICY) as client:
            return await work(client)


def session_of(context: typer.Context) -> Session:
    """The global options of the command."""
    session = context.find_object(Session)
    return session if session is not None else Session()


def interactive() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def with_prefix(collection: str, name: str) -> str:
    """The resource name `tasks/x` for both `x` and `tasks/x`."""
    return name if name.startswith(f"{collection}/") else f"{collection}/{name}"
