"""Streams runs to watchers; one reader serves all watchers of this process.

The reader asks for a short mark of every watched run in one query and loads only runs whose mark has changed, so the
load on PostgreSQL does not grow with the number of watchers, and an unchanged run costs a row of one query. Each
watcher holds only the latest record: a slow client skips intermediate states and needs no memory. Hints wake the
reader, which also reads once a second: a lost hint delays a change but loses none.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from uuid import UUID

from prometheus_client import Gauge

from gateway.api.errors import shutting_down
from gateway.runs.conversion import to_run, to_steps
from gateway.runs.response_size import batches
from ordinaut.errors import NotFoundError
from ordinaut.limits import MAX_MESSAGE_BYTES
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import RUN, Hints, wait_hint
from ordinaut.store.runs import run
from ordinaut.store.runs.run import TERMINAL, RunRecord
from ordinaut.telemetry import get_logger
from ordinaut.v1.run_pb2 import StepRun
from ordinaut.v1.run_service_pb2 import WatchRunResponse

log = get_logger()
READ_SECONDS = 1.0
RECHECK_SECONDS = 1.5
WATCHERS = Gauge("ordinaut_gateway_run_watchers", "Streams that watch a run")


@dataclass(slots=True, eq=False)
class _Watcher:
    """One stream; `mark` is that of `latest`."""

    run: UUID
    payloads: bool = False
    mark: str = ""
    latest: RunRecord | None = None
    deleted: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class RunWatch:
    """The run watchers of this process; run `serve` as a task for the lifetime of the process."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._wake = hints.subscribe(RUN)
        self._watchers: dict[UUID, set[_Watcher]] = defaultdict(set)
        self._shutting_down = False

    async def watch(
        self, run_id: UUID, token_recheck: Callable[[], Awaitable[None]], *, payloads: bool = False
    ) -> AsyncGenerator[RunRecord, None]:
        """Yields the run with its steps, then again after each change, until it has ended.

        `token_recheck` is awaited at least every RECHECK_SECONDS. With `payloads` the steps have their inputs and
        outputs; without it they may have them.

        Raises:
            NotFoundError: the run does not exist or has been deleted.
            UnavailableError: the process is shutting down.
        """
        watcher = _Watcher(run_id, payloads)
        self._watchers[run_id].add(watcher)
        WATCHERS.inc()
        self._wake.set()
        if self._shutting_down:
            watcher.changed.set()
        try:
            while True:
                has_changed = await wait_hint(watcher.changed, RECHECK_SECONDS)
                if self._shutting_down:
                    raise shutting_down()
                await token_recheck()
                if not has_changed:
                    continue
                if watcher.deleted or watcher.latest is None:
                    raise NotFoundError.of(f"runs/{run_id}")
                yield watcher.latest
                if watcher.latest.state in TERMINAL:
                    return
        finally:
            self._remove(watcher)

    def stop(self) -> None:
        """Ends every stream, also those that are opened later."""
        self._shutting_down = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.changed.set()

    async def serve(self) -> None:
        """Reads watched runs until cancelled; without watchers it sends no query."""
        while True:
            await wait_hint(self._wake, READ_SECONDS)
            if self._watchers:
                try:
                    await self._read()
                except STORE_FAILURES as failure:
                    log.warning("run_watch_interrupted", failure=str(failure))

    async def _read(self) -> None:
        watched = list(self._watchers)
        async with self._database.connection() as connection:
            marks = await run.marks(connection, watched)
            stale = [run_id for run_id in watched if self._is_stale(run_id, marks.get(run_id))]
            payloads = any(watcher.payloads for run_id in stale for watcher in self._watchers.get(run_id, ()))
            records = await run.get_many(connection, stale, steps=True, payloads=payloads) if stale else []
        by_id = {record.id: record for record in records}
        for run_id in stale:
            self._notify(run_id, marks.get(run_id), by_id.get(run_id))

    def _is_stale(self, run_id: UUID, mark: str | None) -> bool:
        return any(watcher.mark != mark for watcher in self._watchers.get(run_id, ()))

    def _notify(self, run_id: UUID, mark: str | None, record: RunRecord | None) -> None:
        for watcher in self._watchers.get(run_id, ()):
            if watcher.mark != mark:
                watcher.mark = mark or ""
                watcher.latest, watcher.deleted = record, record is None
                watcher.changed.set()

    def _remove(self, watcher: _Watcher) -> None:
        WATCHERS.dec()
        self._watchers[watcher.run].discard(watcher)
        if not self._watchers[watcher.run]:
            del self._watchers[watcher.run]


class RunChanges:
    """The responses of one stream: the run, with those steps (path and attempt) whose state has changed."""

    def __init__(self, *, payloads: bool) -> None:
        self._payloads = payloads
        self._run = b""
        self._states: dict[tuple[str, int], StepRun.State.ValueType] = {}

    def next_responses(self, record: RunRecord) -> Iterator[WatchRunResponse]:
        """Yields the responses for a record with steps: none if nothing has changed, several if the steps are large."""
        *full, last = batches(self._changed_steps(record))
        for steps in full:
            yield WatchRunResponse(steps=steps)
        run = to_run(replace(record, steps=None))
        serialized = run.SerializeToString(deterministic=True)
        if serialized == self._run and not last:
            return
        self._run = serialized
        message = WatchRunResponse(run=run, steps=last)
        if message.ByteSize() > MAX_MESSAGE_BYTES:
            yield WatchRunResponse(steps=last)
            message = WatchRunResponse(run=run)
        yield message

    def _changed_steps(self, record: RunRecord) -> Iterator[StepRun]:
        for step in to_steps(record):
            key = step.path, step.attempt
            if self._states.get(key) != step.state:
                self._states[key] = step.state
                yield step if self._payloads else without_payload(step)


def without_payload(step: StepRun) -> StepRun:
    """Returns the step in view BASIC."""
    step.ClearField("input")
    step.ClearField("output")
    return step
