"""The runs that this worker holds, by handle and by id."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from worker.metrics import HELD


@dataclass(slots=True, eq=False)
class HeldRun:
    """One claim of one run. `stream` executes it; `next_seq` numbers its next journal entry.

    `writing`: a journal write of this run is on its way; further entries wait in `queued`, and what ends the run in
    `last_word`, until it is done.
    """

    handle: int
    id: UUID
    fence: int
    project: str
    owner: str
    scopes: frozenset[str]
    depth: int
    root: str
    stream: Any
    next_seq: int = 0
    writing: bool = False
    queued: deque[Any] = field(default_factory=deque)
    last_word: Any = None


class HeldRuns:
    """Every claim that is not resolved yet, also those whose end is being written."""

    def __init__(self) -> None:
        self._by_handle: dict[int, HeldRun] = {}
        self._by_id: dict[UUID, HeldRun] = {}
        self._last_handle = 0
        HELD.set_function(self.__len__)
        self.empty = asyncio.Event()
        self.empty.set()

    def __len__(self) -> int:
        """How many are held."""
        return len(self._by_handle)

    def next_handle(self) -> int:
        """A handle never used before in this process."""
        self._last_handle += 1
        return self._last_handle

    def add(self, run: HeldRun) -> None:
        """Holds a freshly claimed run."""
        self._by_handle[run.handle] = run
        self._by_id[run.id] = run
        self.empty.clear()

    def get(self, handle: int, stream: Any) -> HeldRun | None:
        """The run of that handle, when `stream` executes it."""
        run = self._by_handle.get(handle)
        return run if run is not None and run.stream is stream else None

    def by_id(self, run: UUID) -> HeldRun | None:
        """The present claim of that run."""
        return self._by_id.get(run)

    def holds_claim(self, run: UUID, fence: int) -> bool:
        """Whether the claim of that run under that fence is held."""
        held = self._by_id.get(run)
        return held is not None and held.fence == fence

    def holds(self, run: HeldRun) -> bool:
        """Whether this very claim is still held."""
        return self._by_handle.get(run.handle) is run

    def drop(self, runs: Iterable[HeldRun]) -> None:
        """Forgets claims, whatever became of them."""
        for run in runs:
            if self._by_handle.pop(run.handle, None) is not None and self._by_id.get(run.id) is run:
                del self._by_id[run.id]
        if not self._by_handle:
            self.empty.set()

    def on(self, stream: Any) -> list[HeldRun]:
        """The runs that a stream executes."""
        return [run for run in self._by_handle.values() if run.stream is stream]

    def all(self) -> list[HeldRun]:
        """Every claim."""
        return list(self._by_handle.values())
