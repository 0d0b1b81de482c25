"""The runs that this worker holds, by handle and by id."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from worker.engine.stream import EngineStream
from worker.metrics import HELD
from worker.run_result import RunResult, StepReport


@dataclass(slots=True, eq=False)
class HeldRun:
    """One claim of one run. `stream` executes it; `next_seq` is the number of its next journal entry.

    `reports` are not written yet; while a journal write of the run is queued or in flight (`writing`), further ones are
    added, and the result of the claim waits in `result`. `stopped_at` is the monotonic time at which the engine was
    asked to stop a cancelled run, which has `finally_seconds` for the steps that run after a cancellation.
    """

    handle: int
    id: UUID
    fence: int
    project: str
    owner: str
    scopes: frozenset[str]
    depth: int
    root: str
    stream: EngineStream
    next_seq: int = 0
    writing: bool = False
    reports: deque[StepReport] = field(default_factory=deque)
    result: RunResult | None = None
    stopped_at: float | None = None
    finally_seconds: float = 0.0


class HeldRuns:
    """Every unresolved claim, including those with a result that is being written."""

    def __init__(self) -> None:
        self._by_handle: dict[int, HeldRun] = {}
        self._by_id: dict[UUID, HeldRun] = {}
        self._last_handle = 0
        HELD.set_function(self.__len__)
        self.empty = asyncio.Event()
        self.empty.set()

    def __len__(self) -> int:
        """The number of claims."""
        return len(self._by_handle)

    def next_handle(self) -> int:
        """A handle never used before in this process."""
        self._last_handle += 1
        return self._last_handle

    def add(self, run: HeldRun) -> None:
        """Holds a new claim."""
        self._by_handle[run.handle] = run
        self._by_id[run.id] = run
        self.empty.clear()

    def get(self, handle: int, stream: EngineStream) -> HeldRun | None:
        """The run with that handle, if `stream` executes it."""
        run = self._by_handle.get(handle)
        return run if run is not None and run.stream is stream else None

    def by_id(self, run: UUID) -> HeldRun | None:
        """The current claim of that run."""
        return self._by_id.get(run)

    def holds_claim(self, run: UUID, fence: int) -> bool:
        """Whether the claim of that run with that fence is held."""
        current = self._by_id.get(run)
        return current is not None and current.fence == fence

    def holds(self, run: HeldRun) -> bool:
        """Whether this claim is still held."""
        return self._by_handle.get(run.handle) is run

    def drop(self, runs: Iterable[HeldRun]) -> None:
        """Removes claims."""
        for run in runs:
            if self._by_handle.pop(run.handle, None) is not None and self._by_id.get(run.id) is run:
                del self._by_id[run.id]
        if not self._by_handle:
            self.empty.set()

    def on(self, stream: EngineStream) -> list[HeldRun]:
        """The runs that a stream executes."""
        return [run for run in self._by_handle.values() if run.stream is stream]

    def all(self) -> list[HeldRun]:
        """Every claim."""
        return list(self._by_handle.values())
