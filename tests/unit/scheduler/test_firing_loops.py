"""The loops with alarms wake for the next due row, and not for one that is far away."""

import asyncio
from typing import Any

import pytest

from scheduler.loops.firing import (
    FALLBACK_SECONDS,
    MIN_FIRE_ALARM_SECONDS,
    MIN_PROMOTE_ALARM_SECONDS,
    FiringLoops,
)
from scheduler.loops.periodic import PeriodicLoop


class Work:
    """Has work for `busy` runs; the next row after them is due in `seconds`."""

    def __init__(self, *, busy: int = 0, seconds: float | None = None) -> None:
        self.busy = busy
        self.seconds = seconds

    async def run_once(self) -> bool:
        """Runs once."""
        self.busy -= 1
        return self.busy >= 0

    async def seconds_to_next(self) -> float | None:
        """How long until the next row is due."""
        return self.seconds


class Clock:
    """Collects the alarms as (loop, seconds)."""

    def __init__(self) -> None:
        self.alarms: list[tuple[str, float]] = []

    def alarm(self, loop: PeriodicLoop, in_seconds: float) -> None:
        """Stores an alarm."""
        self.alarms.append((loop.name, in_seconds))


class NoHints:
    """Hands out events that nothing sets."""

    def subscribe(self, *_topics: str) -> asyncio.Event:
        """An event."""
        return asyncio.Event()


def firing(clock: Clock, **work: Work) -> FiringLoops:
    parts: dict[str, Any] = {name: work.get(name, Work()) for name in ("fire", "plan", "promote")}
    return FiringLoops(**parts, clock=clock, hints=NoHints())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "alarms"),
    [
        (1.5, [("fire", 1.5)]),
        (-3.0, [("fire", MIN_FIRE_ALARM_SECONDS)]),
        (FALLBACK_SECONDS * 2, []),
        (None, []),
    ],
)
async def test_after_the_last_batch_the_alarm_is_set_for_the_next_cursor(
    seconds: float | None, alarms: list[tuple[str, float]]
) -> None:
    clock = Clock()
    loops = firing(clock, fire=Work(busy=1, seconds=seconds))
    assert await loops.fire.run_once()
    assert clock.alarms == []
    assert not await loops.fire.run_once()
    assert clock.alarms == alarms


async def test_planning_sets_the_alarm_when_nothing_is_left_to_plan() -> None:
    clock = Clock()
    loops = firing(clock, fire=Work(seconds=0.25), plan=Work(busy=2))
    assert await loops.plan.run_once()
    assert not await loops.plan.run_once()
    assert clock.alarms == [("fire", 0.25)]


@pytest.mark.parametrize(
    ("seconds", "alarms"),
    [(0.2, [("promote", 0.2)]), (0.0, [("promote", MIN_PROMOTE_ALARM_SECONDS)]), (FALLBACK_SECONDS, []), (None, [])],
)
async def test_promoting_sets_the_alarm_for_the_next_delayed_run(
    seconds: float | None, alarms: list[tuple[str, float]]
) -> None:
    clock = Clock()
    assert not await firing(clock, promote=Work(seconds=seconds)).promote.run_once()
    assert clock.alarms == alarms
