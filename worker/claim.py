"""The claim loop: takes as much work as the engines have credit for, and keeps what it holds in line with its rows."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

from ordinaut.store import due_work
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import CANCEL, RUN, WORK, Hints, wait_hint
from ordinaut.store.sql import Connection, Record
from ordinaut.telemetry import get_logger
from worker.engine.dispatch import Dispatch
from worker.engine.stream import EngineStream
from worker.held_runs import HeldRuns
from worker.lease import Lease
from worker.settings import WorkerSettings

log = get_logger()
RECONCILE_SECONDS = 1.0
FULL_PROBE_SECONDS = 1.0
REFILL_SECONDS = 0.005
REFILL_CREDIT = 50
URGENT_BATCH = 50


class Claimer:
    """Claims one batch at a time. `draining` set: claims nothing more.

    `claiming` is held from a claim until its runs are held, by whoever claims in this process: what is leased but not
    held while it is free belongs to nobody.
    """

    def __init__(
        self,
        database: Database,
        lease: Lease,
        runs: HeldRuns,
        dispatch: Dispatch,
        streams: Sequence[EngineStream],
        hints: Hints,
        settings: WorkerSettings,
        claiming: asyncio.Lock,
    ) -> None:
        self._database = database
        self._lease = lease
        self._runs = runs
        self._dispatch = dispatch
        self._streams = streams
        self._settings = settings
        self._claiming = claiming
        self._hints = hints
        self._wake = hints.subscribe(WORK, CANCEL)
        self._cancel = hints.subscribe(CANCEL)
        self._low_water: dict[int, datetime] = {}
        self._crowded = 0  # the least urgent class of a full batch; 0: there is no backlog
        self._full_probe_at = 0.0
        self._reconcile_at = 0.0
        self.draining = False

    def wake(self) -> None:
        """Looks again at once: an engine has given credit, or suspects have left."""
        self._wake.set()

    async def serve(self) -> None:
        """Claims until draining or cancelled."""
        while not self.draining:
            try:
                full = await self._turn()
            except STORE_FAILURES as failure:
                log.warning("claim_failed", failure=str(failure))
                await asyncio.sleep(self._settings.poll_seconds)
                continue
            if full:
                await self._refill()
            else:
                await wait_hint(self._wake, self._settings.poll_seconds)

    async def _turn(self) -> bool:
        """One look at the queue; True when there may be more at once."""
        wanted = min(sum(stream.credit for stream in self._streams), self._settings.claim_batch)
        async with self._claiming, self._database.connection() as connection:
            if time.monotonic() >= self._reconcile_at or self._cancel.is_set():
                await self._reconcile(connection)
            if self.draining or wanted <= 0 or not self._lease.good():
                return False
            wanted -= await self._claim_urgent(connection, min(wanted, URGENT_BATCH)) if self._crowded > 1 else 0
            if wanted <= 0:
                return True
            rows = await due_work.claim(connection, self._lease.id, self._marks(), wanted)
            self._note(rows, wanted)
            if rows:
                await self._dispatch.start(connection, rows, self._streams)
        return len(rows) == wanted

    async def _claim_urgent(self, connection: Connection, wanted: int) -> int:
        """Sends ahead what is more urgent than the backlog: a large batch takes long to be claimed and to be sent."""
        rows = await due_work.claim(connection, self._lease.id, self._low_water, wanted, before=self._crowded)
        if rows:
            await self._dispatch.start(connection, rows, self._streams)
        return len(rows)

    def _marks(self) -> dict[int, datetime]:
        if time.monotonic() >= self._full_probe_at:
            self._full_probe_at = time.monotonic() + FULL_PROBE_SECONDS
            self._low_water.clear()
        return self._low_water

    def _note(self, rows: Sequence[Record], wanted: int) -> None:
        """Rows below the last claimed one are dead; a claim that came back short is repeated without marks."""
        self._crowded = 0
        if len(rows) < wanted:
            self._low_water.clear()
            return
        self._crowded = max(row["priority"] for row in rows)
        for row in rows:
            priority, ready = row["priority"], row["ready_time"]
            if ready > self._low_water.get(priority, due_work.LOWEST):
                self._low_water[priority] = ready

    async def _refill(self) -> None:
        """With a backlog, waits a moment for more credit: small claims cost as much as large ones."""
        deadline = time.monotonic() + REFILL_SECONDS
        while sum(stream.credit for stream in self._streams) < REFILL_CREDIT:
            left = deadline - time.monotonic()
            if left <= 0 or not await wait_hint(self._wake, left):
                return

    async def _reconcile(self, connection: Connection) -> None:
        """Stops what is to be cancelled, and releases rows that are leased to this worker but not held by it."""
        self._reconcile_at = time.monotonic() + RECONCILE_SECONDS
        self._cancel.clear()
        lease = self._lease.id
        rows = await due_work.held(connection, lease)
        strangers = [row for row in rows if not self._runs.holds_claim(row["id"], row["fence"])]
        if strangers:
            ids, fences = [row["id"] for row in strangers], [row["fence"] for row in strangers]
            released = await due_work.release(connection, lease, ids, fences)
            log.warning("unheld_rows_released", runs=released)
        await self._stop(connection, [row for row in rows if row["cancel_requested"]])

    async def _stop(self, connection: Connection, rows: Sequence[Record]) -> None:
        held = [run for row in rows if (run := self._runs.by_id(row["id"])) is not None]
        if not held:
            return
        for run in held:
            run.stream.cancel([run.handle])
        ids, fences = [run.id for run in held], [run.fence for run in held]
        ended = await due_work.end_cancelled_mine(connection, self._lease.id, ids, fences)
        self._runs.drop(held)
        self._hints.send(RUN)
        log.info("runs_cancelled", runs=len(ended))
