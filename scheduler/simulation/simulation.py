"""A task on a virtual clock: what becomes of each of its moments, decided by the code that decides the live ones.

The clock goes from event to event: runs end, people pause and resume, schedulers go away and come back, the cursor is
due. At one moment they happen in this order.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from ordinaut.clock import TICK
from scheduler.events.task_health import count, why_paused
from scheduler.firing.missed_instants import ALL
from scheduler.schedules.schedule import Instant
from scheduler.simulation.cursor import Cursor
from scheduler.simulation.entry import Entry, entries_of
from scheduler.simulation.live_runs import LiveRuns
from scheduler.simulation.scenario import Scenario, Span, joined

_IN_TIME = timedelta(seconds=5)  # as in cursor.fire and cursor.late
_PAUSE, _RESUME, _AWAY, _BACK = range(4)


class Simulation:
    """Yields the rows of the ledger in the order in which they would be written.

    `now` is how far it has come; at the end, `paused` and `reason` tell the state of the task.
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
        self._away = False
        self._paused_until: datetime | None = None
        self._failures = 0
        self._unjudged: list[bool] = []

    def entries(self) -> Iterator[Entry]:
        """Lets time pass until it is known what becomes of every instant of the window; at the end all are final.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        self._cursor.plan()
        while not self._cursor.ended or self._runs.are_open:
            self.now = max(self.now, min(self._moments()))
            self._unjudged += [run.state == "SUCCEEDED" for run in self._runs.ended(self.now)]
            while self._changes and self._changes[-1][0] <= self.now:
                yield from self._change(self._changes.pop()[1])
            if not self._away:
                yield from self._judge()
                self._runs.give_turns(self.now)
                yield from self._work()

    def _moments(self) -> Iterator[datetime]:
        """When something may happen next."""
        if self._changes:
            yield self._changes[-1][0]
        if self._runs.next_end is not None:
            yield self._runs.next_end
        if self._runs.next_deadline is not None and not self._away:
            yield self._runs.next_deadline
        if self._cursor.ended:
            return
        if self.paused:
            yield self._last
        elif self._cursor.fire_time is not None and not self._away:
            yield self._cursor.fire_time

    def _change(self, kind: int) -> Iterator[Entry]:
        if kind == _PAUSE:
            yield from self._pause("")
        elif kind == _RESUME:
            self.paused, self.reason, self._paused_until, self._failures = False, "", self.now, 0
        else:
            self._away = kind == _AWAY

    def _judge(self) -> Iterator[Entry]:
        """Counts failures in a row, as the matcher does once it hears of the ends of runs."""
        limit = None if self.paused else self._rules.pause_after_failures
        self._failures, too_many = count(self._failures, self._unjudged, limit)
        self._unjudged = []
        if too_many:
            yield from self._pause(why_paused(self._failures))

    def _pause(self, reason: str) -> Iterator[Entry]:
        """What is due fires first, without waiting for its jitter, unless it is late already."""
        if self.paused:
            return
        coming, start = self._cursor.next, self._cursor.fire_time
        if coming and start and coming.time <= self.now <= start + _IN_TIME and not self._cursor.ended:
            yield self._fire()
        self._cursor.leave_behind(min(self.now, self._last), self._paused_until)
        self._paused_until = None
        self.paused, self.reason, self._failures = True, reason, 0

    def _work(self) -> Iterator[Entry]:
        """Plans, fires and catches up until nothing is due."""
        yield from self._settle_arrears()
        if self.paused:
            if self.now < self._last:
                return
            self._paused_until = self._last  # nobody resumes it: its moments are recorded all the same
        while True:
            if self._paused_until is not None:
                yield from self._record_pause(self._paused_until)
            if not self._cursor.planned:
                self._cursor.plan()
            due = self._cursor.fire_time
            if due is None or due > self.now or self._cursor.ended:
                return
            if due >= self.now - _IN_TIME:
                yield self._fire()
            else:
                yield from self._catch_up()

    def _settle_arrears(self) -> Iterator[Entry]:
        """What passed before a pause and was not accounted for by then."""
        obstacle = "paused" if self.paused else None
        while (passed := self._cursor.passed_behind(self.now, obstacle)) is not None:
            yield from entries_of(passed, self.now)
            if passed.next is not None:
                yield self._admit(passed.next, self._cursor.start_of(passed.next), in_turn=self._catches_up_all)

    def _record_pause(self, until: datetime) -> Iterator[Entry]:
        self._paused_until = None
        all_seen = False
        while not all_seen:
            passed = self._cursor.passed_while_paused(until)
            all_seen = passed.all_seen
            yield from entries_of(passed, self.now)

    def _fire(self, *, in_turn: bool = False) -> Entry:
        instant, fire_time = self._cursor.take()
        return self._admit(instant, fire_time, in_turn=in_turn)

    def _admit(self, instant: Instant, fire_time: datetime, *, in_turn: bool) -> Entry:
        if instant.excluded:
            return Entry(instant, instant.time, 1, "EXCLUDED", "its day is excluded", self.now)
        entry = Entry(instant, instant.time, 1, "", "", self.now)
        self._runs.admit(entry, fire_time, in_turn=in_turn)
        if not self._away:
            self._runs.give_turns(self.now)
        return entry

    def _catch_up(self) -> Iterator[Entry]:
        passed = self._cursor.missed(self.now)
        yield from entries_of(passed, self.now)
        if passed.next is not None and not self._cursor.ended:
            yield self._fire(in_turn=self._catches_up_all)


def _changes(scenario: Scenario, within: Span) -> list[tuple[datetime, int]]:
    """What happens from outside, the last first."""
    found = []
    for spans, begins, ends in ((scenario.pauses, _PAUSE, _RESUME), (scenario.outages, _AWAY, _BACK)):
        for span in joined(spans, within):
            found += [(span.start, begins), (span.end, ends)]
    return sorted(found, reverse=True)
