"""The cursor of a simulated task: its next instant, planned by the code that plans the stored ones."""

from datetime import datetime
from typing import Any, NamedTuple

from scheduler.firing.missed_instants import (
    MissedInstants,
    UnskippedInstants,
    find_missed,
    find_paused,
    find_unsettled,
    start_with_jitter,
)
from scheduler.schedules.jitter import fire_time
from scheduler.schedules.schedule import Instant
from scheduler.simulation.scenario import Scenario


class _UnsettledRange(NamedTuple):
    after: datetime
    until: datetime
    paused: bool


class Cursor:
    """The position in a schedule. `fire_time` is when `next` starts; None without `next`, or before it is planned."""

    def __init__(self, scenario: Scenario, last_instant: datetime) -> None:
        self._scenario = scenario
        self._instants = UnskippedInstants(scenario.schedule, scenario.skipped)
        self._last_instant = last_instant
        self._state: dict[str, Any] = {}
        self._unsettled: list[_UnsettledRange] = []
        self.next: Instant | None = None
        self.fire_time: datetime | None = None
        self.planned = False

    @property
    def ended(self) -> bool:
        """Whether the instants of the window are exhausted."""
        return self.planned and (self.next is None or self.next.time >= self._scenario.window.end)

    def plan(self) -> None:
        """Computes the next instant."""
        self._set_next(*self._instants.next(self._last_instant, self._state))

    def take_paused(self, until: datetime) -> MissedInstants:
        """Settles the instants of a pause, at most a thousand; afterwards the cursor is to be planned."""
        missed = find_paused(self._instants, self._last_instant, self._state, until)
        self._settle(missed.last_instant, missed.state)
        return missed

    def take_missed(self, now: datetime) -> MissedInstants:
        """Settles the instants that catch-up does not run; the one that it runs, if any, becomes `next`."""
        missed = find_missed(
            self._instants,
            self._scenario.catch_up,
            self._last_instant,
            self._state,
            now=now,
            start_of=start_with_jitter(self._scenario.schedule, self._scenario.task),
        )
        self._settle(missed.last_instant, missed.state)
        if missed.to_run is not None:
            self._set_next(missed.to_run, missed.state)
        return missed

    def take(self) -> tuple[Instant, datetime]:
        """Settles the next instant; returns it with its start time. Afterwards the cursor is to be planned.

        Raises:
            LookupError: the cursor is not planned or has ended.
        """
        instant, start = self.next, self.fire_time
        if instant is None or start is None:
            raise LookupError("the cursor is not planned or has ended")
        self._settle(instant.time, self._state)
        return instant, start

    def start_of(self, instant: Instant) -> datetime:
        """When the instant starts, with its jitter."""
        return fire_time(self._scenario.schedule, self._scenario.task, instant)

    def leave_unsettled(self, now: datetime, paused_until: datetime | None) -> None:
        """Drops the next instant and stores what has passed by now as unsettled ranges, as the query of that name does.

        `paused_until`: when the task was resumed, if its pause is not recorded yet.
        """
        since = self._last_instant
        if paused_until is not None:
            self._unsettled.append(_UnsettledRange(since, paused_until, paused=True))
            since = paused_until
        if not self.planned or (self.next is not None and self.next.time <= now):
            self._unsettled.append(_UnsettledRange(since, now, paused=False))
            since = now
        self._settle(since, self._state)

    def take_unsettled(self, now: datetime, obstacle: str | None) -> MissedInstants | None:
        """Settles the oldest unsettled range up to an instant that still runs; None without a range."""
        if not self._unsettled:
            return None
        after, until, paused = self._unsettled.pop(0)
        missed = find_unsettled(
            self._instants, self._scenario.catch_up, after, until, now=now, paused=paused, obstacle=obstacle
        )
        if missed.to_run is not None or not missed.complete:
            position = missed.to_run.time if missed.to_run else missed.last_instant
            self._unsettled.insert(0, _UnsettledRange(position, until, paused))
        return missed

    def _set_next(self, instant: Instant | None, state: dict[str, Any]) -> None:
        self.planned, self.next, self._state = True, instant, state
        self.fire_time = self.start_of(instant) if instant else None

    def _settle(self, last_instant: datetime, state: dict[str, Any]) -> None:
        self._last_instant, self._state = last_instant, state
        self.planned, self.next, self.fire_time = False, None, None
