"""What the overlap policies promise, as a state machine of one task without any database."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

ROOM = {"SKIP": 0.0, "BUFFER_ONE": 1.0, "CANCEL_OTHER": float("inf")}


class Waiting(NamedTuple):
    """A run that waits for its turn; `supersedes`: everything older is to end for it."""

    run: UUID
    supersedes: bool


@dataclass
class TaskModel:
    """A task's live runs: at most one that excludes others, a line of those that wait for it, and the free ones."""

    policy: str | None
    max_buffer: int
    ignore_waiting: bool
    exclusive: UUID | None = None
    line: list[Waiting] = field(default_factory=list)
    free: set[UUID] = field(default_factory=set)
    leased: set[UUID] = field(default_factory=set)
    stopping: set[UUID] = field(default_factory=set)

    def arrives(self, run: UUID, *, by_time: bool, caught_up: bool = False) -> str:
        """The outcome of an arrival; `caught_up`: by the policy ALL, which buffers without bound."""
        policy = self.policy or ("SKIP" if by_time else "ALLOW")
        if policy == "ALLOW":
            self.free.add(run)
            return "ENQUEUED"
        if self.exclusive is None and not self.line:
            self.exclusive = run
            return "ENQUEUED"
        room = float("inf") if caught_up else ROOM.get(policy, self.max_buffer)
        if len(self.line) >= room:
            return "SKIPPED_OVERLAP"
        self.line.append(Waiting(run, policy == "CANCEL_OTHER" and not caught_up))
        return "BUFFERED"

    def is_claimed(self, *runs: UUID) -> None:
        """A worker takes what is ready."""
        assert set(runs) <= self.live() - self.leased
        self.leased |= set(runs)

    def waits(self, run: UUID) -> None:
        """A leased run begins to wait."""
        self.leased.discard(run)
        if self.ignore_waiting and run == self.exclusive:
            self.exclusive = None
            self.free.add(run)

    def ends(self, run: UUID) -> None:
        """A run is over."""
        self.line = [waiting for waiting in self.line if waiting.run != run]
        for runs in (self.free, self.leased, self.stopping):
            runs.discard(run)
        if self.exclusive == run:
            self.exclusive = None

    def is_cancelled(self, run: UUID) -> None:
        """Somebody cancels a run: what a worker holds ends later."""
        if run in self.leased:
            self.stopping.add(run)
        else:
            self.ends(run)

    def turns(self) -> None:
        """Who is superseded is cancelled; then the oldest in line takes a place that is free."""
        for run in list(self._superseded()):
            self.is_cancelled(run)
        if self.exclusive is None and self.line:
            self.exclusive = self.line.pop(0).run

    def live(self) -> set[UUID]:
        """The runs that do not wait for their turn."""
        return self.free | ({self.exclusive} if self.exclusive else set())

    def _superseded(self) -> Iterator[UUID]:
        newest = max((place for place, waiting in enumerate(self.line) if waiting.supersedes), default=None)
        if newest is not None:
            yield from (waiting.run for waiting in self.line[:newest])
            if self.exclusive:
                yield self.exclusive
