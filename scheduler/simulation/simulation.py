"""A task on a virtual clock: the outcome of each instant, decided by the code that decides the stored ones.

The clock advances from one change to the next: a run ends, a user pauses or resumes the task, the schedulers stop or
come back, the cursor is due. Changes at the same time are applied in this order.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from ordinaut.clock import TICK
from scheduler.events.task_health import count_failures, pause_reason
from scheduler.firing.catch_up_policy import ALL
from scheduler.schedules.schedule import Instant
from scheduler.simulation.cursor import Cursor
from scheduler.simulation.entry import Entry, entries_of
from scheduler.simulation.live_runs import LiveRuns
from scheduler.simulation.scenario import Scenario, Span, joined

_MAX_FIRE_LAG = timedelta(seconds=5)  # as in cursor.fire and cursor.late
_PAUSE, _RESUME, _OUTAGE, _RECOVERY = range(4)


class Simulation:
    """Yields the ledger rows in the order in which they would be inserted.

    `now` is the virtual time. After the last entry, `paused` and `reason` are the state of the task.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.now = scenario.window.start
        self.paused = False
        self.reason = ""
        self._rules = scenario.rules
        self._catches_up_all = scenario.catch_up.name == ALL
        self._last = scenario.window.end - TICK
        self._changes = _changes(scenario, Span(self.now, self._last))
        self._cursor = Cursor(scenario, self.now - TICK)
        self._runs = LiveRuns(scenario.rules, scenario.durations, scenario.fail_every)
        self._in_outage = False
        self._paused_until: datetime | None = None
        self._failures = 0
        self._uncounted: list[bool] = []  # ends of runs: whether each succeeded

    def entries(self) -> Iterator[Entry]:
        """Advances the clock until every instant of the window has an outcome; at the end all entries are final.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        self._cursor.plan()
        while not self._cursor.ended or self._runs.are_open:
            self.now = max(self.now, min(self._times_of_change()))
            self._uncounted += [run.state == "SUCCEEDED" for run in self._runs.ended(self.now)]
            while self._changes and self._changes[-1][0] <= self.now:
                yield from self._apply(self._changes.pop()[1])
            if not self._in_outage:
                yield from self._count_failures()
                self._runs.release_blocked(self.now)
                yield from self._work()

    def _times_of_change(self) -> Iterator[datetime]:
        """When something can happen next."""
        if self._changes:
            yield self._changes[-1][0]
        if self._runs.next_end is not None:
            yield self._runs.next_end
        if self._runs.next_deadline is not None and not self._in_outage:
            yield self._runs.next_deadline
        if self._cursor.ended:
            return
        if self.paused:
            yield self._last
        elif self._cursor.fire_time is not None and not self._in_outage:
            yield self._cursor.fire_time

    def _apply(self, change: int) -> Iterator[Entry]:
        if change == _PAUSE:
            yield from self._pause("")
        elif change == _RESUME:
            self.paused, self.reason, self._paused_until, self._failures = False, "", self.now, 0
        else:
            self._in_outage = change == _OUTAGE

    def _count_failures(self) -> Iterator[Entry]:
        """Counts consecutive failures, as the matcher does when it reads of the ends of runs."""
        limit = None if self.paused else self._rules.pause_after_failures
        self._failures, is_limit_reached = count_failures(self._failures, self._uncounted, limit)
        self._uncounted = []
        if is_limit_reached:
            yield from self._pause(pause_reason(self._failures))

    def _pause(self, reason: str) -> Iterator[Entry]:
        """Pauses the task; a due instant fires first, without its jitter, unless it is late already."""
        if self.paused:
            return
        instant, start = self._cursor.next, self._cursor.fire_time
        if instant and start and instant.time <= self.now <= start + _MAX_FIRE_LAG and not self._cursor.ended:
            yield self._fire()
        self._cursor.leave_unsettled(min(self.now, self._last), self._paused_until)
        self._paused_until = None
        self.paused, self.reason, self._failures = True, reason, 0

    def _work(self) -> Iterator[Entry]:
        """Plans, fires and catches up until nothing is due."""
        yield from self._settle_ranges()
        if self.paused:
            if self.now < self._last:
                return
            self._paused_until = self._last  # the pause outlasts the window: its instants are recorded at the end
        while True:
            if self._paused_until is not None:
                yield from self._record_pause(self._paused_until)
            if not self._cursor.planned:
                self._cursor.plan()
            due = self._cursor.fire_time
            if due is None or due > self.now or self._cursor.ended:
                return
            if due >= self.now - _MAX_FIRE_LAG:
                yield self._fire()
            else:
                yield from self._catch_up()

    def _settle_ranges(self) -> Iterator[Entry]:
        """Settles what passed before a pause and was not recorded by then."""
        obstacle = "paused" if self.paused else None
        while (missed := self._cursor.take_unsettled(self.now, obstacle)) is not None:
            yield from entries_of(missed, self.now)
            if missed.to_run is not None:
                start = self._cursor.start_of(missed.to_run)
                yield self._admit(missed.to_run, start, always_buffer=self._catches_up_all)

    def _record_pause(self, until: datetime) -> Iterator[Entry]:
        self._paused_until = None
        complete = False
        while not complete:
            missed = self._cursor.take_paused(until)
            complete = missed.complete
            yield from entries_of(missed, self.now)

    def _fire(self, *, always_buffer: bool = False) -> Entry:
        instant, fire_time = self._cursor.take()
        return self._admit(instant, fire_time, always_buffer=always_buffer)

    def _admit(self, instant: Instant, fire_time: datetime, *, always_buffer: bool) -> Entry:
        if instant.excluded:
            return Entry(instant, instant.time, 1, "EXCLUDED", "its day is excluded", self.now)
        entry = Entry(instant, instant.time, 1, "", "", self.now)
        self._runs.admit(entry, fire_time, always_buffer=always_buffer)
        if not self._in_outage:
            self._runs.release_blocked(self.now)
        return entry

    def _catch_up(self) -> Iterator[Entry]:
        missed = self._cursor.take_missed(self.now)
        yield from entries_of(missed, self.now)
        if missed.to_run is not None and not self._cursor.ended:
            yield self._fire(always_buffer=self._catches_up_all)


def _changes(scenario: Scenario, within: Span) -> list[tuple[datetime, int]]:
    """The pauses and outages of the scenario as changes, the last first."""
    changes = []
    for spans, begin, end in ((scenario.pauses, _PAUSE, _RESUME), (scenario.outages, _OUTAGE, _RECOVERY)):
        for span in joined(spans, within):
            changes += [(span.start, begin), (span.end, end)]
    return sorted(changes, reverse=True)
