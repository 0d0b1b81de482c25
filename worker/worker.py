"""One worker: its parts, its start and its graceful end."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from ordinaut.internal.v1.pipeline_engine_service_pb2 import EngineFrame
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import WORK, Hints
from ordinaut.store.queue import due_work_claim, due_work_finish
from ordinaut.telemetry import get_logger
from worker.claim import Claimer
from worker.completion import Completion
from worker.engine.dispatch import Dispatch
from worker.engine.quarantine import Quarantine
from worker.engine.stream import EngineStream
from worker.held_runs import HeldRuns
from worker.journal import Journal
from worker.lease import Lease
from worker.settings import WorkerSettings

log = get_logger()


class Worker:
    """Claims runs, sends them to engines and records what they do. `start` it in the running event loop."""

    def __init__(self, database: Database, settings: WorkerSettings) -> None:
        self._database = database
        self._settings = settings
        self._runs = HeldRuns()
        self._hints = Hints(database)
        never_expires = settings.fail_points == "hold_self_fence"
        self._lease = Lease(database, settings.lease_seconds, self._fence, never_expires=never_expires)
        self._completion = Completion(database, self._lease, self._runs, self._hints)
        self._journal = Journal(database, self._lease, self._runs, self._completion, self._hints)
        self._dispatch = Dispatch(database, self._lease, self._runs, self._journal, self._completion)
        self._streams = [self._open(address, isolated=False) for address in settings.engines]
        self._claiming = asyncio.Lock()
        self._claimer = Claimer(
            database, self._lease, self._runs, self._dispatch, self._streams, self._hints, settings, self._claiming
        )
        self._quarantine = Quarantine(
            database,
            self._lease,
            self._runs,
            self._dispatch,
            self._open_isolated,
            settings.engines,
            self._hints,
            self._claiming,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._drained: tuple[int, int] | None = None
        self._drain_lock = asyncio.Lock()

    async def start(self, address: str) -> None:
        """Takes a lease with the address at which this worker listens, and starts."""
        self._lease.address = address
        await self._lease.take()
        parts: list[Coroutine[Any, Any, None]] = [
            self._hints.serve(),
            self._lease.serve(),
            self._journal.commits.serve(),
            self._completion.commits.serve(),
            *(stream.serve() for stream in self._streams),
            self._claimer.serve(),
            self._quarantine.serve(),
        ]
        self._tasks = [asyncio.create_task(part) for part in parts]

    async def failed(self) -> None:
        """Waits until a part of the worker fails with an unexpected exception, and raises it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def drain(self) -> tuple[int, int]:
        """Claims nothing more, waits for held runs, releases the rest; returns the numbers (finished, released)."""
        async with self._drain_lock:
            if self._drained is None:
                self._drained = await self._drain()
            return self._drained

    async def stop(self) -> None:
        """Drains, releases the lease and stops every part."""
        await self.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._lease.release()
        except STORE_FAILURES as failure:
            log.warning("lease_not_released", failure=str(failure))

    async def _drain(self) -> tuple[int, int]:
        self._claimer.draining = self._quarantine.draining = True
        try:
            await self._lease.drain()
        except STORE_FAILURES as failure:
            log.warning("drain_not_recorded", failure=str(failure))
        held_count = len(self._runs)
        try:
            async with asyncio.timeout(self._settings.grace_seconds * 0.8):
                async with self._claiming:  # after it, the runs of a claim in progress are held
                    held_count = len(self._runs)
                await self._runs.empty.wait()
        except TimeoutError:
            log.warning("grace_period_exceeded", runs=len(self._runs))
        released = await self._release_rest()
        return max(held_count - released, 0), released

    async def _release_rest(self) -> int:
        """Releases every row under the lease, also rows of claims and completions with lost answers."""
        dropped = self._drop_all()
        try:
            async with self._database.connection() as connection:
                rows = await due_work_claim.leased_rows(connection, self._lease.id)
                ids, fences = [row.id for row in rows], [row.fence for row in rows]
                released = await due_work_finish.release(connection, self._lease.id, ids, fences) if rows else 0
        except STORE_FAILURES as failure:
            log.warning("release_left_to_rescue", runs=dropped, failure=str(failure))
            return 0
        if released:
            self._hints.send(WORK)
        return released

    async def _fence(self, lease: UUID) -> None:
        """Drops every run: the lease has expired, so no result can be written."""
        log.warning("lease_fenced", lease=str(lease), runs=self._drop_all())

    def _drop_all(self) -> int:
        """Stops and drops every run; returns the number."""
        runs = self._runs.all()
        for run in runs:
            run.stream.cancel([run.handle])
        self._runs.drop(runs)
        return len(runs)

    def _open(self, address: str, *, isolated: bool) -> EngineStream:
        return EngineStream(address, self._settings.internal_token, self._on_frame, self._on_lost, isolated=isolated)

    def _open_isolated(self, address: str) -> EngineStream:
        return self._open(address, isolated=True)

    def _on_frame(self, stream: EngineStream, frame: EngineFrame) -> None:
        self._dispatch.on_frame(stream, frame)
        if frame.credit:
            self._claimer.wake()
        self._quarantine.wake()

    async def _on_lost(self, stream: EngineStream) -> None:
        await self._dispatch.on_lost(stream)
        self._quarantine.recheck()
