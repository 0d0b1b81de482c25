"""Tells the story line by line, with the time since it began, and stops it where a promise is broken."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rich.console import Console
from rich.markup import escape

POLL_SECONDS = 0.02
Found = TypeVar("Found")


class CheckFailedError(Exception):
    """What Ordinaut promises did not happen; the message is the promise."""


class Reporter:
    """Speaks on standard output: in colours on a terminal, in plain lines otherwise."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()

    @property
    def is_terminal(self) -> bool:
        """Whether somebody sits at a terminal."""
        return self._console.is_terminal

    def section(self, title: str) -> None:
        """Begins a new part of the story."""
        self._console.print(f"\n[bold cyan]{escape(title)}[/]")

    def info(self, text: str) -> None:
        """Says what happens now."""
        self._line("white", " ", text)

    def detail(self, text: str) -> None:
        """Shows something that belongs to the line before."""
        self._console.print(f"            [dim]{escape(text)}[/]")

    def expect(self, passed: bool, description: str) -> None:
        """Says the promise when it is kept.

        Raises:
            BrokenPromiseError: it is not.
        """
        if not passed:
            raise CheckFailedError(description)
        self._line("green", "✓", description)

    def fail(self, text: str) -> None:
        """Says why the story ends here."""
        self._line("bold red", "✗", text)

    def _line(self, style: str, mark: str, text: str) -> None:
        elapsed = time.monotonic() - self._began
        self._console.print(f"[dim]{elapsed:7.2f} s[/] [{style}]{mark} {escape(text)}[/]")


async def until(look: Callable[[], Awaitable[Found | None]], within: float, description: str) -> Found:
    """Looks again and again until there is something: for what gives no signal.

    Raises:
        BrokenPromiseError: there is nothing within so many seconds.
    """
    try:
        async with asyncio.timeout(within):
            while True:
                found = await look()
                if found is not None:
                    return found
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise CheckFailedError(f"{description} (not within {within:.0f} s)") from None
