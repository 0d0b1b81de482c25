"""Watching runs: one reader for all watchers of this process, woken by hints, looking by itself each second."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from prometheus_client import Gauge

from gateway.api.calls import stopping
from gateway.runs.conversion import to_run, to_steps
from ordinaut.errors import NotFoundError
from ordinaut.store import run
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import RUN, Hints, wait_hint
from ordinaut.store.run import TERMINAL, RunRecord
from ordinaut.telemetry import get_logger
from ordinaut.v1.run_pb2 import StepRun
from ordinaut.v1.run_service_pb2 import WatchRunResponse

log = get_logger()
LOOK_SECONDS = 1.0
VIGIL_SECONDS = 10.0
WATCHERS = Gauge("ordinaut_gateway_run_watchers", "Streams that watch a run")


@dataclass(slots=True, eq=False)
class _Watcher:
    """Holds the newest record only: a slow consumer skips what lies between and costs no memory."""

    run: UUID
    payloads: bool = False
    mark: str = ""
    latest: RunRecord | None = None
    gone: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)


class RunWatch:
    """The process's hub of watched runs; run `serve` as a task for as long as the process lives."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._wake = hints.subscribe(RUN)
        self._watchers: dict[UUID, set[_Watcher]] = defaultdict(set)
        self._stopping = False

    async def watch(
        self, run_id: UUID, vigil: Callable[[], Awaitable[None]], *, payloads: bool = False
    ) -> AsyncGenerator[RunRecord, None]:
        """The run with its steps, then again after each change, until it has ended; `vigil` is awaited all along.

        `payloads`: the steps have their inputs and outputs; without it they may have them.

        Raises:
            NotFoundError: there is no such run, or not any more.
            UnavailableError: the process stops.
        """
        watcher = _Watcher(run_id, payloads)
        self._watchers[run_id].add(watcher)
        WATCHERS.inc()
        self._wake.set()
        if self._stopping:
            watcher.news.set()
        try:
            while True:
                told = await wait_hint(watcher.news, VIGIL_SECONDS)
                if self._stopping:
                    raise stopping()
                await vigil()
                if not told:
                    continue
                if watcher.gone or watcher.latest is None:
                    raise NotFoundError.of(f"runs/{run_id}")
                yield watcher.latest
                if watcher.latest.state in TERMINAL:
                    return
        finally:
            self._forget(watcher)

    def stop(self) -> None:
        """Ends every stream, and those that come now."""
        self._stopping = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.news.set()

    async def serve(self) -> None:
        """Reads what is watched until cancelled; without watchers it asks nothing."""
        while True:
            await wait_hint(self._wake, LOOK_SECONDS)
            if self._watchers:
                try:
                    await self._look()
                except STORE_FAILURES as failure:
                    log.warning("run_watch_interrupted", failure=str(failure))

    async def _look(self) -> None:
        watched = list(self._watchers)
        async with self._database.connection() as connection:
            marks = await run.marks(connection, watched)
            stale = [run_id for run_id in watched if self._is_stale(run_id, marks.get(run_id))]
            payloads = any(watcher.payloads for run_id in stale for watcher in self._watchers.get(run_id, ()))
            records = await run.get_many(connection, stale, steps=True, payloads=payloads) if stale else []
        found = {record.id: record for record in records}
        for run_id in stale:
            self._tell(run_id, marks.get(run_id), found.get(run_id))

    def _is_stale(self, run_id: UUID, mark: str | None) -> bool:
        return any(watcher.mark != mark for watcher in self._watchers.get(run_id, ()))

    def _tell(self, run_id: UUID, mark: str | None, record: RunRecord | None) -> None:
        for watcher in self._watchers.get(run_id, ()):
            if watcher.mark != mark:
                watcher.mark = mark or ""
                watcher.latest, watcher.gone = record, record is None
                watcher.news.set()

    def _forget(self, watcher: _Watcher) -> None:
        WATCHERS.dec()
        self._watchers[watcher.run].discard(watcher)
        if not self._watchers[watcher.run]:
            del self._watchers[watcher.run]


class Changes:
    """The answers of one stream. A step is one path and attempt; what changes about it is its state."""

    def __init__(self, *, payloads: bool) -> None:
        self._payloads = payloads
        self._run = b""
        self._states: dict[tuple[str, int], StepRun.State.ValueType] = {}

    def of(self, record: RunRecord) -> WatchRunResponse | None:
        """The answer for the run as it is now, with its steps in the record; None when nothing has changed."""
        message = WatchRunResponse(run=to_run(replace(record, steps=None)))
        for step in to_steps(record):
            place = step.path, step.attempt
            if self._states.get(place) != step.state:
                self._states[place] = step.state
                message.steps.append(step if self._payloads else without_payload(step))
        run = message.run.SerializeToString(deterministic=True)
        if run == self._run and not message.steps:
            return None
        self._run = run
        return message


def without_payload(step: StepRun) -> StepRun:
    """The step in view BASIC."""
    step.ClearField("input")
    step.ClearField("output")
    return step
