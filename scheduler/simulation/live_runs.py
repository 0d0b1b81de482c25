"""The live runs of a simulated task: what the queue decides about a newcomer, whose turn it is, when runs end.

In the database these are the insert of `due_work_enqueue.queue` with its unique index, `overlap.give_turns`,
`overlap.overtaken`, `due_work_recover.end_unstarted`, and a worker that is always free. The two are held against each
other by a test with random tasks.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from math import inf

from scheduler.simulation.entry import Entry, SimulatedRun
from scheduler.simulation.scenario import Rules

_UNBOUNDED = ("CANCEL_OTHER", "IN_TURN")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Somebody in line: until when it must have started, and whether everything before it is to end for it."""

    entry: Entry
    deadline: datetime | None
    supersedes: bool


class LiveRuns:
    """Admits runs by the overlap policy and the start deadline; those that may start at once do."""

    def __init__(self, rules: Rules, durations: Sequence[timedelta], fail_every: int) -> None:
        self._rules = rules
        self._durations = durations
        self._fail_every = fail_every
        self._started = 0
        self._exclusive: SimulatedRun | None = None
        self._line: deque[_Waiting] = deque()
        self._ends: list[tuple[datetime, int, SimulatedRun]] = []

    @property
    def next_end(self) -> datetime | None:
        """When the next run ends."""
        while self._ends and self._ends[0][0] != self._ends[0][2].end:  # it was cancelled
            heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    @property
    def next_deadline(self) -> datetime | None:
        """When the first in line must have started."""
        return self._line[0].deadline if self._line else None  # who came later may wait for longer

    @property
    def are_open(self) -> bool:
        """Something may still become of those that have come."""
        return bool(self._line) or (self._rules.overlap == "CANCEL_OTHER" and self._exclusive is not None)

    def admit(self, entry: Entry, fire_time: datetime, *, in_turn: bool) -> None:
        """Decides what becomes of an occurrence that fires at `entry.time` and should have at `fire_time`.

        `in_turn`: it was missed, and the policy of catching up has it wait whatever the overlap policy is.
        """
        now, overlap = entry.time, self._rules.overlap
        if in_turn and overlap != "ALLOW":
            overlap = "IN_TURN"
        is_free = overlap == "ALLOW" or (self._exclusive is None and not self._line)
        deadline = None if self._rules.start_deadline is None else fire_time + self._rules.start_deadline
        if not is_free and len(self._line) >= self._room(overlap):
            entry.outcome, entry.reason = "SKIPPED_OVERLAP", _no_room(overlap)
        elif deadline is not None and deadline <= now:
            _miss(entry)
        elif is_free:
            entry.outcome = "ENQUEUED"
            self._start(entry, now)
        else:
            entry.outcome = "BUFFERED"
            self._line.append(_Waiting(entry, deadline, supersedes=overlap == "CANCEL_OTHER"))

    def give_turns(self, now: datetime) -> None:
        """What a scheduler does for those that wait: ends who waits too long or is overtaken, starts who is next."""
        while (deadline := self.next_deadline) is not None and deadline <= now:
            _miss(self._line.popleft().entry)
        if self._rules.overlap == "CANCEL_OTHER":
            self._cancel_overtaken(now)
        if self._exclusive is None and self._line:
            self._start(self._line.popleft().entry, now)

    def ended(self, now: datetime) -> Iterator[SimulatedRun]:
        """Takes the runs out that have ended by now, in the order of their ends."""
        while (end := self.next_end) is not None and end <= now:
            run = heappop(self._ends)[2]
            run.is_final = True
            if run is self._exclusive:
                self._exclusive = None
            yield run

    def _room(self, overlap: str) -> float:
        """How many may wait."""
        if overlap in _UNBOUNDED:
            return inf
        return {"BUFFER_ONE": 1, "BUFFER_ALL": self._rules.max_buffer}.get(overlap, 0)

    def _cancel_overtaken(self, now: datetime) -> None:
        newest = max((place for place, waiting in enumerate(self._line) if waiting.supersedes), default=None)
        if newest is None:
            return
        for _ in range(newest):
            self._line.popleft().entry.run = SimulatedRun(None, now, "CANCELLED")
        if self._exclusive is not None:
            self._exclusive.end, self._exclusive.state, self._exclusive.is_final = now, "CANCELLED", True
            self._exclusive = None

    def _start(self, entry: Entry, now: datetime) -> None:
        duration = self._durations[self._started % len(self._durations)]
        self._started += 1
        fails = bool(self._fail_every) and self._started % self._fail_every == 0
        timeout = self._rules.run_timeout
        if timeout is not None and duration > timeout:
            duration, fails = timeout, True
        may_be_cancelled = self._rules.overlap == "CANCEL_OTHER"
        run = SimulatedRun(now, now + duration, "FAILED" if fails else "SUCCEEDED", is_final=not may_be_cancelled)
        entry.run = run
        if self._rules.overlap != "ALLOW":
            self._exclusive = run
        heappush(self._ends, (run.end, self._started, run))


def _miss(entry: Entry) -> None:
    entry.outcome, entry.reason = "MISSED", "its run had not started by the deadline"


def _no_room(overlap: str) -> str:
    why = "a run of the task was live"
    return why if overlap == "SKIP" else f"{why}, and no more could wait for their turn"
