"""The live runs of a simulated task: admission of new runs, release of buffered ones, and their ends.

In the database these are the insert of `due_work_enqueue.queue` with its unique index, `overlap.release_blocked`,
`overlap.superseded`, `due_work_recover.end_unstarted`, and a worker that is always free. A test with random tasks
checks that both implementations agree.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush
from math import inf

from scheduler.simulation.entry import Entry, SimulatedRun
from scheduler.simulation.scenario import Rules

_UNBOUNDED = ("CANCEL_OTHER", "ALWAYS_BUFFER")


@dataclass(frozen=True, slots=True)
class _Buffered:
    """A buffered run: its start deadline, and whether every run before it is to be cancelled for it."""

    entry: Entry
    deadline: datetime | None
    supersedes: bool


class LiveRuns:
    """Admits runs by the overlap policy and the start deadline; admitted runs that are not buffered start at once."""

    def __init__(self, rules: Rules, durations: Sequence[timedelta], fail_every: int) -> None:
        self._rules = rules
        self._durations = durations
        self._fail_every = fail_every
        self._started = 0
        self._exclusive: SimulatedRun | None = None
        self._buffer: deque[_Buffered] = deque()
        self._ends: list[tuple[datetime, int, SimulatedRun]] = []

    @property
    def next_end(self) -> datetime | None:
        """When the next run ends."""
        while self._ends and self._ends[0][0] != self._ends[0][2].end:  # it was cancelled
            heappop(self._ends)
        return self._ends[0][0] if self._ends else None

    @property
    def next_deadline(self) -> datetime | None:
        """The start deadline of the oldest buffered run; those of newer runs are not earlier."""
        return self._buffer[0].deadline if self._buffer else None

    @property
    def are_open(self) -> bool:
        """Whether the outcome of an admitted run can still change."""
        return bool(self._buffer) or (self._rules.overlap == "CANCEL_OTHER" and self._exclusive is not None)

    def admit(self, entry: Entry, fire_time: datetime, *, always_buffer: bool) -> None:
        """Decides the outcome of an occurrence that fires at `entry.time` and was due at `fire_time`.

        `always_buffer`: it was missed, and is buffered under any overlap policy but ALLOW if a run is live.
        """
        now, overlap = entry.time, self._rules.overlap
        if always_buffer and overlap != "ALLOW":
            overlap = "ALWAYS_BUFFER"
        is_free = overlap == "ALLOW" or (self._exclusive is None and not self._buffer)
        deadline = None if self._rules.start_deadline is None else fire_time + self._rules.start_deadline
        if not is_free and len(self._buffer) >= self._capacity(overlap):
            entry.outcome, entry.reason = "SKIPPED_OVERLAP", _overlap_reason(overlap)
        elif deadline is not None and deadline <= now:
            _miss(entry)
        elif is_free:
            entry.outcome = "ENQUEUED"
            self._start(entry, now)
        else:
            entry.outcome = "BUFFERED"
            self._buffer.append(_Buffered(entry, deadline, supersedes=overlap == "CANCEL_OTHER"))

    def release_blocked(self, now: datetime) -> None:
        """Ends buffered runs past their deadline or superseded, and starts the oldest one if no run is live."""
        while (deadline := self.next_deadline) is not None and deadline <= now:
            _miss(self._buffer.popleft().entry)
        if self._rules.overlap == "CANCEL_OTHER":
            self._cancel_superseded(now)
        if self._exclusive is None and self._buffer:
            self._start(self._buffer.popleft().entry, now)

    def ended(self, now: datetime) -> Iterator[SimulatedRun]:
        """Removes and yields the runs that have ended by now, in the order of their ends."""
        while (end := self.next_end) is not None and end <= now:
            run = heappop(self._ends)[2]
            run.is_final = True
            if run is self._exclusive:
                self._exclusive = None
            yield run

    def _capacity(self, overlap: str) -> float:
        """The maximum number of buffered runs."""
        if overlap in _UNBOUNDED:
            return inf
        return {"BUFFER_ONE": 1, "BUFFER_ALL": self._rules.max_buffer}.get(overlap, 0)

    def _cancel_superseded(self, now: datetime) -> None:
        newest = max((place for place, buffered in enumerate(self._buffer) if buffered.supersedes), default=None)
        if newest is None:
            return
        for _ in range(newest):
            self._buffer.popleft().entry.run = SimulatedRun(None, now, "CANCELLED")
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


def _overlap_reason(overlap: str) -> str:
    reason = "a run of the task was live"
    return reason if overlap == "SKIP" else f"{reason}, and its buffer was full"
