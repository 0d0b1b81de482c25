"""Rescue: rows of workers with an expired lease return to the queue; runs that were lost too often end."""

from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.queue import due_work_recover, lease
from ordinaut.telemetry import get_logger
from scheduler.metrics import LOST_TOO_OFTEN, RESCUED

log = get_logger()
BATCH = 200


class Rescue:
    """Returns the rows of crashed workers to the queue."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Processes one batch of each kind; True when there may be more."""
        rescued = await self._database.repeat(
            lambda connection: due_work_recover.rescue(connection, BATCH), one_statement=True
        )
        ended = await self._database.repeat(due_work_recover.end_unclaimed, one_statement=True)
        if rescued:
            RESCUED.inc(rescued)
            log.warning("runs_rescued", runs=rescued)
            self._hints.send(WORK)
        if ended:
            LOST_TOO_OFTEN.inc(ended)
            log.error("quarantined_runs_ended", runs=ended)
            self._hints.send(RUN, OUTBOX)
        await self._database.repeat(lease.delete_expired, one_statement=True)
        return rescued >= BATCH
