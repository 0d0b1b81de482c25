"""Releases buffered runs: where runs of a task may not overlap, they start one after the other in FIFO order."""

import asyncio
import time

from ordinaut.store.database import DATA_ERRORS, Database
from ordinaut.store.hints import BUFFERED, CANCEL, OUTBOX, RUN, WORK, Hints
from ordinaut.store.queue import overlap
from ordinaut.telemetry import get_logger
from scheduler.metrics import RELEASED, SUPERSEDED

log = get_logger()
BATCH = 500
IDLE_SECONDS = 0.2  # while no run is buffered, ends of runs cause at most one query in this time
REST_FACTOR = 4  # while runs are buffered, each query is followed by a rest of this multiple of its duration


class ReleaseBlocked:
    """Releases buffered runs.

    Every end of a run is a hint to look for a buffered one, and there may be thousands of ends a second. Their cost is
    bounded: no run is buffered most of the time, and then a query follows the last one after 200 ms at the earliest,
    unless a hint reports a buffered run; otherwise the loop spends at most a fifth of its time in queries.
    """

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._buffered_hint = hints.subscribe(BUFFERED)
        self._rest_until = 0.0
        self._tasks = 0  # with buffered runs, by the last query

    async def run_once(self) -> bool:
        """Releases one batch; True when there may be more to do at once."""
        rest = self._rest_until - time.monotonic()
        if rest > 0 and not self._tasks and not self._buffered_hint.is_set():
            return False
        if rest > 0 and self._tasks:
            await asyncio.sleep(rest)
        self._buffered_hint.clear()
        start = time.monotonic()
        try:
            released = await self._database.repeat(
                lambda connection: overlap.release_blocked(connection, BATCH), one_statement=True
            )
        except DATA_ERRORS as failure:  # a run that needed no buffering became live first: the next query sees it
            log.info("blocked_release_conflict", failure=str(failure))
            return True
        self._tasks, now = released.tasks, time.monotonic()
        self._rest_until = now + (min(REST_FACTOR * (now - start), IDLE_SECONDS) if released.tasks else IDLE_SECONDS)
        if released.runs:
            RELEASED.inc(released.runs)
            self._hints.send(WORK)
        return released.runs >= BATCH or (released.superseding and await self._cancel_superseded())

    async def _cancel_superseded(self) -> bool:
        """Cancels runs for newer ones that replace them; True when one ended at once, so that a run can be released."""
        cancelled = await self._database.repeat(lambda connection: overlap.cancel_superseded(connection, BATCH))
        if cancelled.ended or cancelled.requested:
            SUPERSEDED.inc(cancelled.ended + cancelled.requested)
            self._hints.send(RUN, CANCEL, OUTBOX)
        return cancelled.ended > 0
