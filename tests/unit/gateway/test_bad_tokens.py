"""Guessing tokens meets a limit, for each address by itself."""

import asyncio
import time
from contextlib import suppress

import pytest

from gateway.authentication import token_throttle
from gateway.authentication.token_throttle import TokenThrottle
from ordinaut.errors import ResourceExhaustedError, UnauthenticatedError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the module sees."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def kinds(tokens: TokenThrottle, source: str, count: int) -> list[type]:
    return [type(tokens.rejection(source)) for _ in range(count)]


def test_the_budget_of_an_address_is_refilled(clock: list[float]) -> None:
    tokens = TokenThrottle()
    burst = int(token_throttle.BURST)
    answers = [tokens.rejection("10.0.0.1") for _ in range(burst + 1)]
    assert {type(answer) for answer in answers[:burst]} == {UnauthenticatedError}
    assert isinstance(answers[burst], ResourceExhaustedError)
    assert answers[burst].retry_after
    clock[0] += 2 / token_throttle.REFILL_PER_SECOND
    assert kinds(tokens, "10.0.0.1", 3) == [UnauthenticatedError, UnauthenticatedError, ResourceExhaustedError]


def test_budgets_of_addresses_are_independent(clock: list[float]) -> None:
    tokens = TokenThrottle()
    kinds(tokens, "10.0.0.1", int(token_throttle.BURST) + 1)
    assert kinds(tokens, "10.0.0.2", 1) == [UnauthenticatedError]
    assert kinds(tokens, "[::1]", 1) == [UnauthenticatedError]


def test_the_number_of_stored_addresses_is_bounded(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were seen last."""
    monkeypatch.setattr(token_throttle, "ADDRESSES_MAX", 2)
    monkeypatch.setattr(token_throttle, "BURST", 1.0)
    tokens = TokenThrottle()
    for number in range(3):
        kinds(tokens, f"10.0.0.{number}", 1)
    assert kinds(tokens, "10.0.0.2", 1) == [ResourceExhaustedError]
    assert kinds(tokens, "10.0.0.0", 1) == [UnauthenticatedError]


async def reject(tokens: TokenThrottle, address: str) -> None:
    with suppress(UnauthenticatedError, ResourceExhaustedError):
        await tokens.reject(address)


async def test_rejections_of_an_exhausted_address_are_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of others, and at most some at the same time."""
    monkeypatch.setattr(token_throttle, "BURST", 1.0)
    monkeypatch.setattr(token_throttle, "DELAYED_MAX", 2)
    tokens = TokenThrottle()
    await asyncio.wait_for(reject(tokens, "10.0.0.1"), 0.5)  # the one of the burst
    calls = [asyncio.create_task(reject(tokens, "10.0.0.1")) for _ in range(3)]
    done, waiting = await asyncio.wait(calls, timeout=0.2)
    assert (len(done), len(waiting)) == (1, 2)
    await asyncio.wait_for(reject(tokens, "10.0.0.2"), 0.5)
    for call in waiting:
        call.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert not tokens._delayed
