"""The agenda: one look at what there is to do, four times a second, instead of a look by each duty."""

from collections.abc import Iterable

from ordinaut.store import pending_work
from ordinaut.store.database import Database
from scheduler.loops.periodic import PeriodicLoop


class PendingWork:
    """Wakes the duties that have something to do; hints wake most of them before it does."""

    def __init__(self, database: Database, periodic_loops: Iterable[PeriodicLoop]) -> None:
        self._database = database
        self._loops = {loop.name: loop for loop in periodic_loops}

    async def run_once(self) -> bool:
        """One look."""
        async with self._database.connection() as connection:
            waiting = await pending_work.look(connection)
        for name in waiting:
            self._loops[name].wake()
        return False
