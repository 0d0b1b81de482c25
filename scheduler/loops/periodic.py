"""A periodic loop: work that the scheduler repeats, both when a hint arrives and when its period has passed.

APScheduler is the timer that wakes the loops. It counts by this machine's wall clock, which may be set back; each loop
therefore also wakes by a monotonic timeout of a few periods.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from ordinaut.store.database import STORE_FAILURES
from ordinaut.store.hints import wait_hint
from ordinaut.telemetry import get_logger
from scheduler.metrics import LOOP_SECONDS

log = get_logger()
TIMEOUT_PERIODS = 4  # the monotonic timeout of a loop, in its periods
FAILURE_SECONDS = 0.5


class PeriodicLoop:
    """Calls `run_once` whenever it is woken, and again at once while it returns True.

    Args:
        name: the label in metrics and logs.
        run_once: does one batch; True when there may be more to do.
        period_seconds: how often the clock wakes the loop.
        wake: the event that wakes it earlier.
    """

    def __init__(
        self, name: str, run_once: Callable[[], Awaitable[bool]], period_seconds: float, wake: asyncio.Event
    ) -> None:
        self.name = name
        self.run_once = run_once
        self.period_seconds = period_seconds
        self._wake = wake

    def wake(self) -> None:
        """Has the loop run now."""
        self._wake.set()

    async def serve(self) -> None:
        """Runs until cancelled; while the store is unavailable it logs the failure and retries."""
        while True:
            try:
                with LOOP_SECONDS.labels(self.name).time():
                    may_have_more = await self.run_once()
            except STORE_FAILURES as failure:
                log.warning("loop_interrupted", loop=self.name, failure=str(failure) or type(failure).__name__)
                may_have_more = False
                await asyncio.sleep(FAILURE_SECONDS)
            if not may_have_more:
                await wait_hint(self._wake, self.period_seconds * TIMEOUT_PERIODS)


class LoopClock:
    """APScheduler as the timer: wakes each loop once per period, and a single loop at a given time."""

    def __init__(self) -> None:
        self._scheduler: Any = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def start(self) -> None:
        """Starts the timer inside the running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Stops the timer; the loops themselves keep running."""
        self._scheduler.shutdown(wait=False)

    def every_period(self, loop: PeriodicLoop) -> None:
        """Wakes the loop once per period."""
        self._scheduler.add_job(
            _waker(loop), IntervalTrigger(seconds=loop.period_seconds, timezone=UTC), id=f"every-{loop.name}"
        )

    def alarm(self, loop: PeriodicLoop, in_seconds: float) -> None:
        """Wakes the loop once, after `in_seconds`; replaces an earlier alarm of the same loop."""
        time = datetime.now(UTC) + timedelta(seconds=max(in_seconds, 0))
        self._scheduler.add_job(
            _waker(loop), DateTrigger(time, timezone=UTC), id=f"alarm-{loop.name}", replace_existing=True
        )


def _waker(loop: PeriodicLoop) -> Callable[[], Awaitable[None]]:
    async def wake() -> None:  # APScheduler runs a coroutine on the event loop, a plain function in a thread
        loop.wake()

    return wake
