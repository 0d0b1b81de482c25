"""A duty: something the scheduler does again and again, when hinted at and when its time has come.

APScheduler is the clock that wakes duties. It counts by this machine's wall clock, which may be set back: then the
duty's own patience, counted monotonically, wakes it.
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
from scheduler.metrics import DUTY

log = get_logger()
PATIENCE = 4
FAILURE_SECONDS = 0.5


class Duty:
    """`turn` does one batch and tells whether there is more; it is called again at once then."""

    def __init__(
        self, name: str, turn: Callable[[], Awaitable[bool]], period_seconds: float, wake: asyncio.Event
    ) -> None:
        self.name = name
        self.period_seconds = period_seconds
        self._turn = turn
        self._wake = wake

    def wake(self) -> None:
        """Do it now."""
        self._wake.set()

    async def serve(self) -> None:
        """Does its duty until cancelled; a store that is away is waited for."""
        while True:
            try:
                with DUTY.labels(self.name).time():
                    more = await self._turn()
            except STORE_FAILURES as failure:
                log.warning("loop_interrupted", loop=self.name, failure=str(failure) or type(failure).__name__)
                more = False
                await asyncio.sleep(FAILURE_SECONDS)
            if not more:
                await wait_hint(self._wake, self.period_seconds * PATIENCE)


class Clockwork:
    """APScheduler as the clock: it wakes each duty in its period, and one duty at a given moment."""

    def __init__(self) -> None:
        self._scheduler: Any = AsyncIOScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def start(self) -> None:
        """Begins to tick."""
        self._scheduler.start()

    def stop(self) -> None:
        """Ticks no more."""
        self._scheduler.shutdown(wait=False)

    def every_period(self, duty: Duty) -> None:
        """Wakes a duty in its period."""
        self._scheduler.add_job(
            _woken(duty), IntervalTrigger(seconds=duty.period_seconds, timezone=UTC), id=f"every-{duty.name}"
        )

    def alarm(self, duty: Duty, in_seconds: float) -> None:
        """Wakes a duty once, after so many seconds; a later alarm of the same duty replaces it."""
        moment = datetime.now(UTC) + timedelta(seconds=max(in_seconds, 0))
        self._scheduler.add_job(
            _woken(duty), DateTrigger(moment, timezone=UTC), id=f"alarm-{duty.name}", replace_existing=True
        )


def _woken(duty: Duty) -> Callable[[], Awaitable[None]]:
    async def wake() -> None:  # a coroutine runs on the loop, a plain function would go to a thread
        duty.wake()

    return wake
