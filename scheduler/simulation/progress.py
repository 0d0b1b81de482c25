"""A running simulation, computed in short slices so that several simulations share one thread fairly."""

import time
from collections import Counter, deque
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from ordinaut.clock import EPOCH
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.simulation_pb2 import SimulatedOccurrence, SimulationSummary
from ordinaut.v1.task_pb2 import Task
from scheduler.schedules.jitter import fire_time
from scheduler.simulation.entry import Entry, with_skipped
from scheduler.simulation.scenario import Scenario
from scheduler.simulation.simulation import Simulation

SLICE_SECONDS = 0.05
_OUTCOMES = dict(Occurrence.Outcome.items())
_STATES = dict(Run.State.items())
MAX_ENTRIES = 1000  # of one slice: a message of some hundred kilobytes


class Progress:
    """Simulates a scenario, up to a limit of occurrences."""

    def __init__(self, scenario: Scenario, limit: int) -> None:
        self._scenario = scenario
        self._limit = limit
        self._simulation = Simulation(scenario)
        self._entries = with_skipped(self._simulation.entries(), scenario)
        self._pending: deque[Entry] = deque()  # in order; the first one is not final yet
        self._outcomes: Counter[str] = Counter()
        self._runs: Counter[str] = Counter()
        self._count = 0
        self._ended = False
        self._end = scenario.window.end

    @property
    def done(self) -> bool:
        """Whether every occurrence has been returned."""
        return self._ended and not self._pending

    def slice(self) -> list[SimulatedOccurrence]:
        """Computes for 50 ms; returns the next occurrences in the order of the ledger.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        occurrences: list[SimulatedOccurrence] = []
        deadline = time.monotonic() + SLICE_SECONDS
        while len(occurrences) < MAX_ENTRIES and not self.done and time.monotonic() < deadline:
            if not self._ended:
                self._advance()
            while self._pending and len(occurrences) < MAX_ENTRIES and (self._ended or self._pending[0].is_final):
                occurrences.append(self._counted(self._pending.popleft()))
        return occurrences

    def _advance(self) -> None:
        """Simulates one more entry, or reaches the end."""
        entry = next(self._entries, None)
        if entry is None:
            self._ended = True
        elif self._count >= self._limit:
            self._ended, self._end = True, entry.first.time
        else:
            self._count += entry.count
            self._pending.append(entry)

    def summary(self) -> SimulationSummary:
        """The totals of the simulation."""
        simulation = self._simulation
        return SimulationSummary(
            outcomes=self._outcomes,
            runs=self._runs,
            end_time=_stamp(self._end),
            truncated=self._end < self._scenario.window.end,
            state=Task.PAUSED if simulation.paused else Task.ACTIVE,
            state_reason=simulation.reason,
        )

    def _counted(self, entry: Entry) -> SimulatedOccurrence:
        self._outcomes[entry.outcome] += entry.count
        if entry.run is not None:
            self._runs[entry.run.state] += 1
        return _occurrence(entry, self._scenario)


def _occurrence(entry: Entry, scenario: Scenario) -> SimulatedOccurrence:
    first = entry.first
    due = _stamp(first.time)
    start = fire_time(scenario.schedule, scenario.task, first)
    occurrence = SimulatedOccurrence(
        id=first.occurrence_id,
        trigger=first.trigger_id,
        outcome=_OUTCOMES[entry.outcome],
        reason=entry.reason,
        due_time=due,
        nominal_time=first.nominal_local,
        fire_time=due if start == first.time else _stamp(start),
        last_due_time=due if entry.count == 1 else _stamp(entry.last),
        count=entry.count,
        create_time=due if entry.time == first.time else _stamp(entry.time),
    )
    if entry.run is not None:
        occurrence.run.state = _STATES[entry.run.state]
        occurrence.run.end_time.CopyFrom(_stamp(entry.run.end))
        if entry.run.start is not None:
            occurrence.run.start_time.CopyFrom(due if entry.run.start == first.time else _stamp(entry.run.start))
    return occurrence


def _stamp(time: datetime) -> Timestamp:
    """As `Timestamp.FromDatetime`, but several times faster: a simulation makes half a million of them."""
    since = time - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)
