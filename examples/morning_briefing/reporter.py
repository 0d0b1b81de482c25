"""Prints the progress of the demo with elapsed times, and stops it when a check fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from rich.console import Console
from rich.markup import escape

POLL_SECONDS = 0.02
Result = TypeVar("Result")


class CheckFailedError(Exception):
    """A check failed; the message is its expected result."""


class Reporter:
    """Prints to standard output, in colour if it is a terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._started = time.monotonic()

    @property
    def is_terminal(self) -> bool:
        """Whether standard output is a terminal."""
        return self._console.is_terminal

    def section(self, title: str) -> None:
        """Prints the title of a section."""
        self._console.print(f"\n[bold cyan]{escape(title)}[/]")

    def info(self, text: str) -> None:
        """Prints what happens."""
        self._line("white", " ", text)

    def detail(self, text: str) -> None:
        """Prints a detail of the previous line."""
        self._console.print(f"            [dim]{escape(text)}[/]")

    def expect(self, passed: bool, description: str) -> None:
        """Prints the description of a check that passed.

        Raises:
            CheckFailedError: the check failed.
        """
        if not passed:
            raise CheckFailedError(description)
        self._line("green", "✓", description)

    def fail(self, text: str) -> None:
        """Prints why the demo stops."""
        self._line("bold red", "✗", text)

    def _line(self, style: str, mark: str, text: str) -> None:
        elapsed = time.monotonic() - self._started
        self._console.print(f"[dim]{elapsed:7.2f} s[/] [{style}]{mark} {escape(text)}[/]")


async def until(look: Callable[[], Awaitable[Result | None]], within: float, description: str) -> Result:
    """Polls `look` until it returns a result, for conditions without a notification.

    Raises:
        CheckFailedError: there is no result after `within` seconds.
    """
    try:
        async with asyncio.timeout(within):
            while True:
                result = await look()
                if result is not None:
                    return result
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise CheckFailedError(f"{description} (not within {within:.0f} s)") from None
