"""Quarantine: runs that were lost with an engine are executed in small groups, on a stream with no other runs.

Each loss narrows the group (64, 16, 4, 1), so that a run that crashes its engine is soon alone. Losses of runs that
were not alone are not counted against them, because any run of the group may have caused the crash.
"""

import asyncio
from collections.abc import Callable
from itertools import cycle

from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import WORK, Hints, wait_hint
from ordinaut.store.queue import due_work_claim
from ordinaut.telemetry import get_logger
from worker.engine.dispatch import Dispatch
from worker.engine.stream import EngineStream
from worker.held_runs import HeldRuns
from worker.lease import Lease

log = get_logger()
POLL_SECONDS = 0.5
CREDIT_SECONDS = 30.0


class Quarantine:
    """Executes one group of quarantined runs at a time; none after `draining` is set."""

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
        """Checks the isolated stream again: it has sent a frame."""
        self._changed.set()

    def recheck(self) -> None:
        """Checks the queue again: an engine was lost."""
        self._changed.set()
        self._hint.set()

    async def serve(self) -> None:
        """Executes quarantined runs until draining or cancelled."""
        while not self.draining:
            try:
                executed = await self._has_work() and await self._execute_group()
            except STORE_FAILURES as failure:
                log.warning("quarantine_interrupted", failure=str(failure))
                executed = False
            if not executed:
                await wait_hint(self._hint, POLL_SECONDS)

    async def _has_work(self) -> bool:
        if not self._lease.is_live():
            return False
        async with self._database.connection() as connection:
            return await due_work_claim.has_quarantined(connection)

    async def _execute_group(self) -> bool:
        """Claims one group and waits until each of its runs has left; False if nothing was claimed.

        The group is claimed only after an engine has given credit on the new stream, so that a run that waits for an
        engine is not leased and cannot be lost once more. The next group goes to the next engine: if an engine, and
        not a run, causes the losses, the group completes elsewhere.
        """
        stream = self._open_stream(next(self._engines))
        serving = asyncio.create_task(stream.serve())
        try:
            if not await self._until(lambda: stream.credit > 0, CREDIT_SECONDS):
                return False
            async with self._claiming, self._database.connection() as connection:
                if self.draining:
                    return False
                claimed = await due_work_claim.claim_quarantined(connection, self._lease.id)
                await self._dispatch.start(connection, claimed, [stream])
            await self._until(lambda: not self._runs.on(stream), None)
            return bool(claimed)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def _until(self, condition: Callable[[], bool], seconds: float | None) -> bool:
        """Waits for a condition; False if it does not hold within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await wait_hint(self._changed, POLL_SECONDS)
        except TimeoutError:
            return False
        return True
