"""The agenda: one look at what there is to do, four times a second, instead of a look by each duty."""

from collections.abc import Iterable

from ordinaut.store import agenda
from ordinaut.store.database import Database
from scheduler.loops.periodic import Duty


class Agenda:
    """Wakes the duties that have something to do; hints wake most of them before it does."""

    def __init__(self, database: Database, duties: Iterable[Duty]) -> None:
        self._database = database
        self._duties = {duty.name: duty for duty in duties}

    async def turn(self) -> bool:
        """One look."""
        async with self._database.connection() as connection:
            waiting = await agenda.look(connection)
        for name in waiting:
            self._duties[name].wake()
        return False
