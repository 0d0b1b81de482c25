"""Promote: delayed runs become claimable when they are due, and runs past their start deadline end."""

from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.queue import due_work_recover
from scheduler.metrics import PROMOTED, UNFIRED

BATCH = 1000


class Promote:
    """Promotes delayed runs, and ends runs that have not started by their deadline."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Processes one batch of each kind; True when there may be more."""
        late = await self._database.repeat(due_work_recover.end_unstarted, one_statement=True)
        if late:
            UNFIRED.labels("MISSED").inc(late)
            self._hints.send(RUN, OUTBOX)
        promoted = await self._database.repeat(
            lambda connection: due_work_recover.promote(connection, BATCH), one_statement=True
        )
        if promoted:
            PROMOTED.inc(promoted)
            self._hints.send(WORK)
        return promoted >= BATCH or late >= due_work_recover.ENDING_BATCH

    async def seconds_to_next(self) -> float | None:
        """How long until the next delayed run is due; None if no run is delayed."""
        async with self._database.connection() as connection:
            return await due_work_recover.seconds_to_promotion(connection)
