"""What a simulation finds: rows of the ledger that the task would have, and their runs."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ordinaut.clock import TICK
from scheduler.firing.missed_instants import Passed
from scheduler.schedules.schedule import Instant
from scheduler.simulation.scenario import Scenario


@dataclass(slots=True)
class SimulatedRun:
    """A run; `start` is None when it was cancelled before. `is_final`: neither end nor state change any more."""

    start: datetime | None
    end: datetime
    state: str
    is_final: bool = True


@dataclass(slots=True)
class Entry:
    """One row: `first` alone, or with its neighbours up to `last`, `count` of them; `time` is when it was written.

    Until it is final, what becomes of its run may change it.
    """

    first: Instant
    last: datetime
    count: int
    outcome: str
    reason: str
    time: datetime
    run: SimulatedRun | None = None

    @property
    def is_final(self) -> bool:
        """What becomes of it is known."""
        return self.run.is_final if self.run else self.outcome != "BUFFERED"


def entries_of(passed: Passed, now: datetime) -> Iterator[Entry]:
    """The rows of instants that passed without a run."""
    for outcome, reason, instants in passed.groups:
        yield Entry(instants[0], instants[-1].time, len(instants), outcome, reason, now)


def with_skipped(entries: Iterable[Entry], scenario: Scenario) -> Iterator[Entry]:
    """The entries, and among them what somebody took away before it was due."""
    waiting = deque(_skipped(scenario))
    for entry in entries:
        while waiting and waiting[0].last < entry.first.time:
            yield waiting.popleft()
        yield entry
    yield from waiting


def _skipped(scenario: Scenario) -> Iterator[Entry]:
    for moment in sorted(scenario.skipped):
        instant, _ = scenario.schedule.next(moment - TICK)
        if instant is not None and instant.time == moment:
            yield Entry(instant, moment, 1, "SKIPPED", "", scenario.window.start)
