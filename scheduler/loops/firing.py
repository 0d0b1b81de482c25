"""The loops with alarms: firing, planning and promoting run at the instant that something is due.

The period of such a loop is only a fallback. After each run the loop asks the database how long it is until the next
row is due and sets an alarm, so that an occurrence fires within milliseconds without frequent polling.
"""

import asyncio

from ordinaut.store.hints import SCHEDULE, Hints
from scheduler.firing.fire import Fire
from scheduler.firing.plan import Plan
from scheduler.loops.periodic import LoopClock, PeriodicLoop
from scheduler.maintenance.promote import Promote

FALLBACK_SECONDS = 5.0  # the period of a loop that pending work, a hint or an alarm wakes earlier
MIN_FIRE_ALARM_SECONDS = 0.002  # a due cursor that is still there is locked by another scheduler: retry soon
MIN_PROMOTE_ALARM_SECONDS = 0.01


class FiringLoops:
    """Connects firing, planning and promoting with the clock's alarms."""

    def __init__(self, fire: Fire, plan: Plan, promote: Promote, clock: LoopClock, hints: Hints) -> None:
        self._fire = fire
        self._plan = plan
        self._promote = promote
        self._clock = clock
        self.fire = PeriodicLoop("fire", self._fire_once, FALLBACK_SECONDS, asyncio.Event())
        self.plan = PeriodicLoop("plan", self._plan_once, FALLBACK_SECONDS, hints.subscribe(SCHEDULE))
        self.promote = PeriodicLoop("promote", self._promote_once, FALLBACK_SECONDS, asyncio.Event())

    async def _fire_once(self) -> bool:
        """Fires one batch; after the last one wakes planning and sets the alarm for the next cursor."""
        may_have_more = await self._fire.run_once()
        if not may_have_more:
            self.plan.wake()
            await self._set_fire_alarm()
        return may_have_more

    async def _plan_once(self) -> bool:
        """Plans one batch, then two concurrently: one computes in a thread while the other reads or writes."""
        may_have_more = await self._plan.run_once()
        if may_have_more:
            may_have_more = any(await asyncio.gather(self._plan.run_once(), self._plan.run_once()))
        if not may_have_more:
            await self._set_fire_alarm()
        return may_have_more

    async def _set_fire_alarm(self) -> None:
        seconds = await self._fire.seconds_to_next()
        if seconds is not None and seconds < FALLBACK_SECONDS * 2:
            self._clock.alarm(self.fire, max(seconds, MIN_FIRE_ALARM_SECONDS))

    async def _promote_once(self) -> bool:
        """Promotes one batch, and sets the alarm for a row that is due within the period."""
        may_have_more = await self._promote.run_once()
        seconds = await self._promote.seconds_to_next()
        if seconds is not None and seconds < FALLBACK_SECONDS:
            self._clock.alarm(self.promote, max(seconds, MIN_PROMOTE_ALARM_SECONDS))
        return may_have_more
