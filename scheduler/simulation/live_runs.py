"""The live runs of a simulated task: what the queue decides about a newcomer, and when runs end.

In the database this is the insert of `due_work.enqueue` with its unique index, `due_work.end_unstarted` and a worker
that is always free. The two are held against each other by a test with random tasks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import NamedTuple

from scheduler.simulation.scenario import Rules


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """A run that has started; `failure` is the code of its error, empty when it succeeds."""

    start: datetime
    end: datetime
    failure: str

    @property
    def succeeds(self) -> bool:
        """How it ends."""
        return not self.failure


class Admission(NamedTuple):
    """What became of an occurrence that fired."""

    outcome: str
    reason: str
    run: SimulatedRun | None = None


class LiveRuns:
    """Admits runs by the overlap policy and the start deadline; each starts at once."""

    def __init__(self, rules: Rules, durations: Sequence[timedelta], fail_every: int) -> None:
        self._rules = rules
        self._durations = durations
        self._fail_every = fail_every
        self._started = 0
        self._ends: list[tuple[datetime, int, SimulatedRun]] = []

    @property
    def next_end(self) -> datetime | None:
        """When the next run ends."""
        return self._ends[0][0] if self._ends else None

    @property
    def excludes_others(self) -> bool:
        """A run is live beside which no other may start."""
        return self._rules.exclusive and bool(self._ends)

    def admit(self, now: datetime, fire_time: datetime) -> Admission:
        """What becomes of an occurrence that fires now and should have at `fire_time`."""
        if self.excludes_others:
            return Admission("SKIPPED_OVERLAP", "a run of the task was live")
        deadline = self._rules.start_deadline
        if deadline is not None and fire_time + deadline <= now:
            return Admission("MISSED", "its run had not started by the deadline")
        return Admission("ENQUEUED", "", self._start(now))

    def ended(self, now: datetime) -> Iterator[SimulatedRun]:
        """Takes the runs out that have ended by now, in the order of their ends."""
        while self._ends and self._ends[0][0] <= now:
            yield heappop(self._ends)[2]

    def _start(self, now: datetime) -> SimulatedRun:
        duration = self._durations[self._started % len(self._durations)]
        self._started += 1
        fails = bool(self._fail_every) and self._started % self._fail_every == 0
        timeout = self._rules.run_timeout
        if timeout is not None and duration > timeout:
            run = SimulatedRun(now, now + timeout, "TIMEOUT")
        else:
            run = SimulatedRun(now, now + duration, "SIMULATED" if fails else "")
        heappush(self._ends, (run.end, self._started, run))
        return run
