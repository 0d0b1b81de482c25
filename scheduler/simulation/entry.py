"""The result of a simulation: the ledger rows that the task would get, and their runs."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from ordinaut.clock import TICK
from scheduler.firing.missed_instants import MissedInstants
from scheduler.schedules.schedule import Instant
from scheduler.simulation.scenario import Scenario


@dataclass(slots=True)
class SimulatedRun:
    """A run; `start` is None if it was cancelled before. `is_final`: its end and state can no longer change."""

    start: datetime | None
    end: datetime
    state: str
    is_final: bool = True


@dataclass(slots=True)
class Entry:
    """One row: the instant `first`, or `count` merged ones up to `last`; `time` is when it would be inserted.

    Until it is final, its run may still change the outcome.
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
        """Whether the outcome and the run can no longer change."""
        return self.run.is_final if self.run else self.outcome != "BUFFERED"


def entries_of(missed: MissedInstants, now: datetime) -> Iterator[Entry]:
    """The rows of instants that do not run."""
    for outcome, reason, instants in missed.groups:
        yield Entry(instants[0], instants[-1].time, len(instants), outcome, reason, now)


def with_skipped(entries: Iterable[Entry], scenario: Scenario) -> Iterator[Entry]:
    """The entries, merged in time order with those of instants that were skipped ahead."""
    skipped = deque(_skipped(scenario))
    for entry in entries:
        while skipped and skipped[0].last < entry.first.time:
            yield skipped.popleft()
        yield entry
    yield from skipped


def _skipped(scenario: Scenario) -> Iterator[Entry]:
    for time in sorted(scenario.skipped):
        instant, _ = scenario.schedule.next(time - TICK)
        if instant is not None and instant.time == time:
            yield Entry(instant, time, 1, "SKIPPED", "", scenario.window.start)
