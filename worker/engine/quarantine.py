"""Runs that were lost with an engine go on in small groups, on a stream that carries nothing else.

Each loss narrows the group (64, 16, 4, 1), so that a run that takes engines down is soon alone and is counted alone.
"""

import asyncio
from collections.abc import Callable
from itertools import cycle

from ordinaut.store import due_work
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import WORK, Hints, wait_hint
from ordinaut.telemetry import get_logger
from worker.engine.dispatch import Dispatch
from worker.engine.stream import EngineStream
from worker.held_runs import HeldRuns
from worker.lease import Lease

log = get_logger()
LOOK_SECONDS = 0.5
CREDIT_SECONDS = 30.0


class Suspects:
    """Executes one group of suspects at a time."""

    def __init__(
        self,
        database: Database,
        lease: Lease,
        runs: HeldRuns,
        dispatch: Dispatch,
        open_stream: Callable[[str], EngineStream],
        engines: list[str],
        hints: Hints,
        claiming: asyncio.Lock,
    ) -> None:
        self._database = database
        self._lease = lease
        self._runs = runs
        self._dispatch = dispatch
        self._open_stream = open_stream
        self._engines = cycle(engines)
        self._claiming = claiming
        self._hint = hints.subscribe(WORK)
        self._changed = asyncio.Event()
        self.draining = False

    def wake(self) -> None:
        """Something changed on the isolated stream."""
        self._changed.set()

    def look(self) -> None:
        """There may be new suspects: an engine was lost."""
        self._changed.set()
        self._hint.set()

    async def serve(self) -> None:
        """Looks for suspects until draining or cancelled."""
        while not self.draining:
            try:
                busy = await self._lease_is_good_and_some_wait() and await self._execute_group()
            except STORE_FAILURES as failure:
                log.warning("quarantine_interrupted", failure=str(failure))
                busy = False
            if not busy:
                await wait_hint(self._hint, LOOK_SECONDS)

    async def _lease_is_good_and_some_wait(self) -> bool:
        if not self._lease.good():
            return False
        async with self._database.connection() as connection:
            return await due_work.has_quarantined(connection)

    async def _execute_group(self) -> bool:
        """Claims one group and waits until each of its runs has left; False when no engine took it."""
        stream = self._open_stream(next(self._engines))
        serving = asyncio.create_task(stream.serve())
        try:
            if not await self._until(lambda: stream.credit > 0, CREDIT_SECONDS):
                return False
            async with self._claiming, self._database.connection() as connection:
                if self.draining:
                    return False
                rows = await due_work.claim_quarantined(connection, self._lease.id)
                await self._dispatch.start(connection, rows, [stream])
            await self._until(lambda: not self._runs.on(stream), None)
            return bool(rows)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def _until(self, holds: Callable[[], bool], seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await wait_hint(self._changed, LOOK_SECONDS)
        except TimeoutError:
            return False
        return True
