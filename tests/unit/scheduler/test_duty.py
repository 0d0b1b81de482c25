"""A duty is done when it is woken, again while there is more, and in spite of a store that is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ordinaut.errors import UnavailableError
from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.loops import periodic as module
from scheduler.loops.periodic import LoopClock, PeriodicLoop

DEADLINE = 5.0
NEVER = 1000.0


class Turns:
    """Counts turns; the first `more` of them leave something to do, the first `broken` fail."""

    def __init__(self, *, more: int = 0, broken: int = 0) -> None:
        self.done = 0
        self.more = more
        self.broken = broken
        self.changed = asyncio.Event()

    async def run_once(self) -> bool:
        """One turn."""
        self.done += 1
        self.changed.set()
        if self.done <= self.broken:
            raise UnavailableError(ErrorReason.STORE_UNAVAILABLE, "away")
        return self.done <= self.more

    async def reach(self, count: int) -> None:
        """Waits until so many turns are done."""
        async with asyncio.timeout(DEADLINE):
            while self.done < count:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def serving(turns: Turns, period: float = NEVER) -> AsyncIterator[PeriodicLoop]:
    loop = PeriodicLoop("test", turns.run_once, period, asyncio.Event())
    task = asyncio.create_task(loop.serve())
    try:
        yield loop
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_duty_goes_on_while_there_is_more_and_then_waits_to_be_woken() -> None:
    turns = Turns(more=3)
    async with serving(turns) as loop:
        await turns.reach(4)
        assert turns.done == 4
        loop.wake()
        await turns.reach(5)


async def test_a_wake_during_a_turn_is_not_lost() -> None:
    turns = Turns()
    async with serving(turns) as loop:
        loop.wake()
        await turns.reach(2)


async def test_a_store_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAILURE_SECONDS", 0.001)
    turns = Turns(broken=3)
    async with serving(turns) as loop:
        for count in range(1, 4):
            await turns.reach(count)
            loop.wake()
        await turns.reach(4)


async def test_a_clock_that_forgets_a_duty_does_not_stop_it() -> None:
    turns = Turns()
    async with serving(turns, period=0.01):
        await turns.reach(3)


async def test_the_clockwork_wakes_in_the_period_and_at_the_alarm() -> None:
    turns = Turns()
    clock = LoopClock()
    async with serving(turns) as loop:
        await turns.reach(1)
        clock.start()
        clock.alarm(loop, NEVER)
        clock.alarm(loop, 0.01)  # replaces the other
        await turns.reach(2)
        frequent = PeriodicLoop("frequent", turns.run_once, 0.05, asyncio.Event())
        clock.every_period(frequent)
        task = asyncio.create_task(frequent.serve())
        await turns.reach(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        clock.stop()
