"""The query for pending work: four times a second, instead of a query by each loop."""

from collections.abc import Iterable

from ordinaut.store.database import Database
from ordinaut.store.queue import pending_work
from scheduler.loops.periodic import PeriodicLoop
from scheduler.metrics import WORKERS


class PendingWork:
    """Wakes the loops that have work; most of them are woken earlier, by a hint."""

    def __init__(self, database: Database, loops: Iterable[PeriodicLoop]) -> None:
        self._database = database
        self._loops = {loop.name: loop for loop in loops}

    async def run_once(self) -> bool:
        """Queries once and wakes the loops; always False."""
        async with self._database.connection() as connection:
            pending = await pending_work.pending(connection)
        WORKERS.set(pending.workers)
        for name in pending.loops:
            self._loops[name].wake()
        return False
