"""A task's cursor outside of the database: its next instant, planned by the code that plans the live ones."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scheduler.firing.missed_instants import Passed, Steps, left_behind, missed, passed_while_paused
from scheduler.schedules.jitter import fire_time
from scheduler.schedules.schedule import Instant
from scheduler.simulation.scenario import Scenario


class Cursor:
    """Where a schedule stands. `fire_time` is when the next instant starts; None: there is none, or not yet planned."""

    def __init__(self, scenario: Scenario, last_instant: datetime) -> None:
        self._scenario = scenario
        self._steps = Steps(scenario.schedule, scenario.skipped)
        self._last_instant = last_instant
        self._state: dict[str, Any] = {}
        self._behind: list[tuple[datetime, datetime, bool]] = []
        self.next: Instant | None = None
        self.fire_time: datetime | None = None
        self.planned = False

    @property
    def ended(self) -> bool:
        """There is no further instant inside of the window."""
        return self.planned and (self.next is None or self.next.time >= self._scenario.window.end)

    def plan(self) -> None:
        """Finds the next instant."""
        self._go_to(*self._steps.next(self._last_instant, self._state))

    def passed_while_paused(self, until: datetime) -> Passed:
        """Takes the instants of a pause, at most a thousand; it is to be planned then."""
        passed = passed_while_paused(self._steps, self._last_instant, self._state, until)
        self._leave(passed.last_instant, passed.state)
        return passed

    def missed(self, now: datetime) -> Passed:
        """Takes what catch-up does not run; `next` is what it does, without one it is to be planned."""
        passed = missed(self._scenario.schedule, self._scenario.catch_up, self._row(now))
        self._leave(passed.last_instant, passed.state)
        if passed.next is not None:
            self._go_to(passed.next, passed.state)
        return passed

    def take(self) -> tuple[Instant, datetime]:
        """Takes the next instant, with the moment at which it starts; it is to be planned then.

        Raises:
            LookupError: there is none.
        """
        instant, moment = self.next, self.fire_time
        if instant is None or moment is None:
            raise LookupError("the cursor has no next instant")
        self._leave(instant.time, self._state)
        return instant, moment

    def start_of(self, instant: Instant) -> datetime:
        """When it starts: its jitter later."""
        return fire_time(self._scenario.schedule, self._scenario.task, instant)

    def leave_behind(self, now: datetime, paused_until: datetime | None) -> None:
        """Forgets the next instant; what has passed by now is for `passed_behind`, as `cursor.leave_behind` does it.

        `paused_until`: it was resumed then, and its pause is not accounted for yet.
        """
        since = self._last_instant
        if paused_until is not None:
            self._behind.append((since, paused_until, True))
            since = paused_until
        if not self.planned or (self.next is not None and self.next.time <= now):
            self._behind.append((since, now, False))
            since = now
        self._leave(since, self._state)

    def passed_behind(self, now: datetime, obstacle: str | None) -> Passed | None:
        """Takes what became of the oldest stretch left behind, up to an instant that still runs; None: of none."""
        if not self._behind:
            return None
        after, until, paused = self._behind.pop(0)
        row = {**self._row(now), "last_instant": after, "until_time": until, "paused": paused, "obstacle": obstacle}
        passed = left_behind(self._scenario.schedule, self._scenario.catch_up, row)
        if passed.next is not None or not passed.all_seen:
            self._behind.insert(0, (passed.next.time if passed.next else passed.last_instant, until, paused))
        return passed

    def _row(self, now: datetime) -> Mapping[str, Any]:
        return {
            "task": self._scenario.task,
            "last_instant": self._last_instant,
            "now": now,
            "skipped": self._scenario.skipped,
            "trigger_state": json.dumps(self._state),
            "zone_data": None,
        }

    def _go_to(self, instant: Instant | None, state: dict[str, Any]) -> None:
        self.planned, self.next, self._state = True, instant, state
        self.fire_time = self.start_of(instant) if instant else None

    def _leave(self, last_instant: datetime, state: dict[str, Any]) -> None:
        self._last_instant, self._state = last_instant, state
        self.planned, self.next, self.fire_time = False, None, None
