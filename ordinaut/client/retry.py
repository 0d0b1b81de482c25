"""Retries calls and resumes streams when the connection breaks or the gateway is unavailable."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from ordinaut.client.errors import ApiError

Answer = TypeVar("Answer")
UNAVAILABLE = "UNAVAILABLE"
RETRYABLE_CODES = frozenset({UNAVAILABLE, "DEADLINE_EXCEEDED", "CANCELLED"})


@dataclass(frozen=True)
class RetryPolicy:
    """When to give up without an answer, and the delays between attempts, in seconds.

    `give_up_after=0` makes a single attempt.
    """

    give_up_after: float = 60.0
    initial_delay: float = 0.1
    max_delay: float = 5.0

    def delay(self, attempts: int, retry_after: float | None) -> float:
        """The delay before the next attempt: exponential, with jitter, and at least `retry_after`."""
        planned = min(self.initial_delay * 2.0 ** min(attempts, 16), self.max_delay)
        return max(planned * random.uniform(0.5, 1.0), retry_after or 0.0)  # noqa: S311 - jitter


class Deadline:
    """The end of a call with all its attempts; None: no end."""

    def __init__(self, seconds: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = None if seconds is None else self._loop.time() + seconds

    def remaining(self) -> float | None:
        """Seconds until the end, at least 0."""
        return None if self._end is None else max(0.0, self._end - self._loop.time())


class _Attempts:
    """Counts attempts since the last answer."""

    def __init__(
        self, policy: RetryPolicy, codes: frozenset[str] = RETRYABLE_CODES, deadline: Deadline | None = None
    ) -> None:
        self._policy = policy
        self._codes = codes
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self.answered()

    def answered(self) -> None:
        self._count = 0
        self._silent_since = self._loop.time()

    async def wait_after(self, failure: ApiError) -> None:
        """Waits before the next attempt; raises the failure if it is final or the time limit is reached."""
        silent = self._loop.time() - self._silent_since
        if failure.code not in self._codes or silent >= self._policy.give_up_after:
            raise failure
        delay = self._policy.delay(self._count, failure.retry_after)
        remaining = self._deadline.remaining() if self._deadline else None
        if remaining is not None and delay >= remaining:
            raise failure
        await asyncio.sleep(delay)
        self._count += 1


async def with_retries(
    call: Callable[[], Awaitable[Answer]],
    policy: RetryPolicy,
    *,
    codes: frozenset[str] = RETRYABLE_CODES,
    deadline: Deadline | None = None,
) -> Answer:
    """Calls until it succeeds or fails with another code than `codes`; the call must be idempotent.

    Raises:
        ApiError: the call was rejected, or nothing answered within the policy or before the deadline.
    """
    attempts = _Attempts(policy, codes, deadline)
    while True:
        try:
            return await call()
        except ApiError as failure:
            await attempts.wait_after(failure)


async def resuming_stream(open_stream: Callable[[], Any], policy: RetryPolicy) -> AsyncIterator[Any]:
    """Yields from a stream and reopens it when it breaks; `open_stream` must resume at the right position.

    A stream that ends without an error is reopened too, because a server that shuts down ends its streams.

    Raises:
        ApiError: the call was rejected, or nothing answered within the policy.
    """
    attempts = _Attempts(policy)
    while True:
        try:
            async with aclosing(open_stream()) as stream:
                async for answer in stream:
                    attempts.answered()
                    yield answer
            broken = ApiError("UNAVAILABLE", "the stream ended")
        except ApiError as failure:
            broken = failure
        await attempts.wait_after(broken)
