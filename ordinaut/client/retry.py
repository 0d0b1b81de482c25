"""Calls that are made again when the connection breaks or the other side is not there for a while."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from ordinaut.client.errors import ApiError

Answer = TypeVar("Answer")
WORTH_REPEATING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"})


@dataclass(frozen=True)
class RetryPolicy:
    """How long to try without any answer, and how long to pause between tries, in seconds."""

    give_up_after: float = 60.0
    initial_delay: float = 0.1
    max_delay: float = 5.0

    def pause(self, tries: int, retry_after: float | None) -> float:
        """Before the next try: doubled each time, spread by half, and at least what the server asked for."""
        planned = min(self.initial_delay * 2.0 ** min(tries, 16), self.max_delay)
        return max(planned * random.uniform(0.5, 1.0), retry_after or 0.0)  # noqa: S311 - spreads reconnects


class _Trial:
    """Counts the tries since the last answer."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._loop = asyncio.get_running_loop()
        self.answered()

    def answered(self) -> None:
        self._tries = 0
        self._silent_since = self._loop.time()

    async def pause_after(self, failure: ApiError) -> None:
        """Raises the failure when it is final or the patience is over."""
        silent = self._loop.time() - self._silent_since
        if failure.code not in WORTH_REPEATING or silent >= self._policy.give_up_after:
            raise failure
        await asyncio.sleep(self._policy.pause(self._tries, failure.retry_after))
        self._tries += 1


async def with_retries(call: Callable[[], Awaitable[Answer]], policy: RetryPolicy) -> Answer:
    """The answer of a call that may safely be made again.

    Raises:
        ApiError: it was refused, or nothing answered within the patience.
    """
    trial = _Trial(policy)
    while True:
        try:
            return await call()
        except ApiError as failure:
            await trial.pause_after(failure)


async def resuming_stream(begin: Callable[[], Any], policy: RetryPolicy) -> AsyncIterator[Any]:
    """One stream out of many: `begin` is called again whenever the stream breaks, and must know where to go on.

    A stream that ends without an error is begun again too: a server that stops ends its streams.

    Raises:
        ApiError: it was refused, or nothing answered within the patience.
    """
    trial = _Trial(policy)
    while True:
        try:
            async with aclosing(begin()) as stream:
                async for answer in stream:
                    trial.answered()
                    yield answer
            broken = ApiError("UNAVAILABLE", "the stream ended")
        except ApiError as failure:
            broken = failure
        await trial.pause_after(broken)
