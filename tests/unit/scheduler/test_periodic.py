"""A periodic loop runs when it is woken, repeats while it has more work, and survives an unavailable store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ordinaut.errors import UnavailableError
from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.loops import periodic as module
from scheduler.loops.periodic import LoopClock, PeriodicLoop
from tests.patience import PATIENCE

NEVER = 1000.0


class Work:
    """Counts runs; the first `busy` of them leave work to do, the first `broken` fail."""

    def __init__(self, *, busy: int = 0, broken: int = 0) -> None:
        self.done = 0
        self.busy = busy
        self.broken = broken
        self.changed = asyncio.Event()

    async def run_once(self) -> bool:
        """Runs once."""
        self.done += 1
        self.changed.set()
        if self.done <= self.broken:
            raise UnavailableError(ErrorReason.STORE_UNAVAILABLE, "unavailable")
        return self.done <= self.busy

    async def reach(self, count: int) -> None:
        """Waits until `count` runs are done."""
        async with asyncio.timeout(PATIENCE):
            while self.done < count:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def serving(work: Work, period: float = NEVER) -> AsyncIterator[PeriodicLoop]:
    loop = PeriodicLoop("test", work.run_once, period, asyncio.Event())
    task = asyncio.create_task(loop.serve())
    try:
        yield loop
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_loop_repeats_while_it_has_more_and_then_waits_to_be_woken() -> None:
    work = Work(busy=3)
    async with serving(work) as loop:
        await work.reach(4)
        assert work.done == 4
        loop.wake()
        await work.reach(5)


async def test_a_wake_during_a_run_is_not_lost() -> None:
    work = Work()
    async with serving(work) as loop:
        loop.wake()
        await work.reach(2)


async def test_a_loop_retries_while_the_store_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAILURE_SECONDS", 0.001)
    work = Work(broken=3)
    async with serving(work) as loop:
        for count in range(1, 4):
            await work.reach(count)
            loop.wake()
        await work.reach(4)


async def test_a_loop_runs_without_its_clock() -> None:
    work = Work()
    async with serving(work, period=0.01):
        await work.reach(3)


async def test_the_clock_wakes_a_loop_once_per_period_and_at_its_alarm() -> None:
    work = Work()
    clock = LoopClock()
    async with serving(work) as loop:
        await work.reach(1)
        clock.start()
        clock.alarm(loop, NEVER)
        clock.alarm(loop, 0.01)  # replaces the other
        await work.reach(2)
        frequent = PeriodicLoop("frequent", work.run_once, 0.05, asyncio.Event())
        clock.every_period(frequent)
        task = asyncio.create_task(frequent.serve())
        await work.reach(5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        clock.stop()
