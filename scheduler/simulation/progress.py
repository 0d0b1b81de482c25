"""A simulation under way: it is computed in slices, so that nobody who computes beside it has to wait."""

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
MOST_ENTRIES = 1000  # of one slice: a message of some hundred kilobytes


class Progress:
    """Goes through a scenario, up to a limit of occurrences."""

    def __init__(self, scenario: Scenario, limit: int) -> None:
        self._scenario = scenario
        self._limit = limit
        self._simulation = Simulation(scenario)
        self._entries = with_skipped(self._simulation.entries(), scenario)
        self._waiting: deque[Entry] = deque()  # for a first one that is not final yet
        self._outcomes: Counter[str] = Counter()
        self._runs: Counter[str] = Counter()
        self._seen = 0
        self._ended = False
        self._end = scenario.window.end

    @property
    def done(self) -> bool:
        """There is nothing more to be found."""
        return self._ended and not self._waiting

    def slice(self) -> list[SimulatedOccurrence]:
        """What is found next, in the order of the ledger; `done` tells whether that was all.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        found: list[SimulatedOccurrence] = []
        deadline = time.monotonic() + SLICE_SECONDS
        while len(found) < MOST_ENTRIES and not self.done and time.monotonic() < deadline:
            if not self._ended:
                self._go_on()
            while self._waiting and len(found) < MOST_ENTRIES and (self._ended or self._waiting[0].is_final):
                found.append(self._counted(self._waiting.popleft()))
        return found

    def _go_on(self) -> None:
        """One entry more, or the end."""
        entry = next(self._entries, None)
        if entry is None:
            self._ended = True
        elif self._seen >= self._limit:
            self._ended, self._end = True, entry.first.time
        else:
            self._seen += entry.count
            self._waiting.append(entry)

    def summary(self) -> SimulationSummary:
        """What it came to."""
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
        shown = _shown(entry, self._scenario)
        if entry.run is not None:
            self._runs[entry.run.state] += 1
        return shown


def _shown(entry: Entry, scenario: Scenario) -> SimulatedOccurrence:
    first = entry.first
    due = _stamp(first.time)
    start = fire_time(scenario.schedule, scenario.task, first)
    shown = SimulatedOccurrence(
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
        shown.run.state = _STATES[entry.run.state]
        shown.run.end_time.CopyFrom(_stamp(entry.run.end))
        if entry.run.start is not None:
            shown.run.start_time.CopyFrom(due if entry.run.start == first.time else _stamp(entry.run.start))
    return shown


def _stamp(moment: datetime) -> Timestamp:
    """As `Timestamp.FromDatetime`, in a fraction of its time: a simulation makes half a million of them."""
    since = moment - EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)
