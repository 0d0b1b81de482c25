"""The claim loop: takes as much work as the engines have credit for, and reconciles held runs with their rows."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime

from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import CANCEL, RUN, WORK, Hints, wait_hint
from ordinaut.store.queue import due_work_claim, due_work_finish
from ordinaut.store.queue.due_work_claim import ClaimedRun, LeasedRow
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from worker.engine.dispatch import Dispatch
from worker.engine.stream import EngineStream
from worker.held_runs import HeldRuns
from worker.lease import Lease
from worker.settings import WorkerSettings

log = get_logger()
RECONCILE_SECONDS = 1.0
REPORT_SECONDS = 3.0
"""Time that an engine has to report a run that it was asked to stop, in addition to that of its `finally`."""
FULL_PROBE_SECONDS = 1.0
REFILL_SECONDS = 0.005
REFILL_CREDIT = 50
URGENT_BATCH = 50


class Claimer:
    """Claims one batch at a time; nothing more after `draining` is set.

    The lock `claiming` is held from a claim until its runs are held, by this loop and by the quarantine. While it is
    free, every row under the lease is held, or its claim has failed: reconciliation depends on that.
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
        self._backlog_class = 0  # the least urgent class of the last full batch; 0 without a backlog
        self._full_probe_at = 0.0
        self._reconcile_at = 0.0
        self.draining = False

    def wake(self) -> None:
        """Claims at once: an engine has given credit, or quarantined runs have ended."""
        self._wake.set()

    async def serve(self) -> None:
        """Claims until draining or cancelled."""
        while not self.draining:
            try:
                has_backlog = await self._claim_once()
            except STORE_FAILURES as failure:
                log.warning("claim_failed", failure=str(failure))
                await asyncio.sleep(self._settings.poll_seconds)
                continue
            if has_backlog:
                await self._await_credit()
            else:
                await wait_hint(self._wake, self._settings.poll_seconds)

    async def _claim_once(self) -> bool:
        """Reconciles if it is time, and claims one batch; True if more rows may be claimable."""
        size = min(self._credit(), self._settings.claim_batch)
        async with self._claiming, self._database.connection() as connection:
            if time.monotonic() >= self._reconcile_at or self._cancel.is_set():
                await self._reconcile(connection)
            if self.draining or size <= 0 or not self._lease.is_live():
                return False
            if self._backlog_class > 1:
                size -= await self._claim_urgent(connection, min(size, URGENT_BATCH))
            if size <= 0:
                return True
            runs = await due_work_claim.claim(connection, self._lease.id, self._marks(), size)
            self._update_marks(runs, size)
            if runs:
                await self._dispatch.start(connection, runs, self._streams)
        return len(runs) == size

    async def _claim_urgent(self, connection: Connection, size: int) -> int:
        """Claims and dispatches up to `size` runs that are more urgent than the backlog.

        With a backlog, a full batch takes tens of milliseconds to be claimed and sent, and its runs are sent together.
        An urgent run that became ready during that time would wait for all of it. A small pass over the classes before
        the backlog's keeps that wait short. If it finds nothing, it has cost one index descent for each class.
        """
        runs = await due_work_claim.claim(connection, self._lease.id, self._low_water, size, before=self._backlog_class)
        if runs:
            await self._dispatch.start(connection, runs, self._streams)
        return len(runs)

    def _marks(self) -> dict[int, datetime]:
        """The low-water marks for a claim: none once a second, so that no row is overlooked for longer.

        A mark is the highest ready_time claimed from a class: rows before it were claimed by this worker or another,
        and their dead index entries need not be read again. It is only a hint. A transaction that commits late, or a
        row that another worker releases, can add a row below it; a claim that comes back short clears the marks, and a
        constantly full queue is read from its start every second.
        """
        if time.monotonic() >= self._full_probe_at:
            self._full_probe_at = time.monotonic() + FULL_PROBE_SECONDS
            self._low_water.clear()
        return self._low_water

    def _update_marks(self, runs: Sequence[ClaimedRun], size: int) -> None:
        self._backlog_class = 0
        if len(runs) < size:
            self._low_water.clear()
            return
        self._backlog_class = max(run.priority for run in runs)
        for run in runs:
            if run.ready_time > self._low_water.get(run.priority, due_work_claim.LOWEST):
                self._low_water[run.priority] = run.ready_time

    async def _await_credit(self) -> None:
        """With a backlog, waits briefly for more credit: a small claim costs about as much as a large one."""
        deadline = time.monotonic() + REFILL_SECONDS
        while self._credit() < REFILL_CREDIT:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not await wait_hint(self._wake, remaining):
                return

    def _credit(self) -> int:
        return sum(stream.credit for stream in self._streams)

    async def _reconcile(self, connection: Connection) -> None:
        """Stops runs that are to be cancelled, and releases rows under the lease that this worker does not hold.

        Unheld rows come from claims with a lost answer, and from runs that were dropped because the outcome of a commit
        was unknown. Without the release they would stay leased as long as the worker lives.
        """
        self._reconcile_at = time.monotonic() + RECONCILE_SECONDS
        self._cancel.clear()
        lease = self._lease.id
        rows = await due_work_claim.leased_rows(connection, lease)
        unheld = [row for row in rows if not self._runs.holds_claim(row.id, row.fence)]
        if unheld:
            ids, fences = [row.id for row in unheld], [row.fence for row in unheld]
            released = await due_work_finish.release(connection, lease, ids, fences)
            log.warning("unheld_rows_released", runs=released)
        await self._stop_cancelled(connection, [row for row in rows if row.cancel_requested])

    async def _stop_cancelled(self, connection: Connection, rows: Sequence[LeasedRow]) -> None:
        """Asks the engines to stop runs, and ends those that an engine has not reported in time.

        The reply of an engine has the attempts that it cut off, and ends the run as any other result does; it comes
        after the steps of `finally`. An engine that is too busy to reply must not keep a cancelled run alive: then the
        run ends with what is in the journal.
        """
        now = time.monotonic()
        overdue = []
        for run in filter(None, (self._runs.by_id(row.id) for row in rows)):
            if run.stopped_at is None:
                run.stopped_at = now
                run.stream.cancel([run.handle], report=True)
            elif now - run.stopped_at >= REPORT_SECONDS + run.finally_seconds:
                overdue.append(run)
        if not overdue:
            return
        ids, fences = [run.id for run in overdue], [run.fence for run in overdue]
        ended = await due_work_finish.end_cancelled_owned(connection, self._lease.id, ids, fences)
        self._runs.drop(overdue)
        self._hints.send(RUN)
        log.warning("runs_cancelled_without_report", runs=len(ended))
