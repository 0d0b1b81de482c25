"""Deadlines: timers end, and waits for events that did not come fail."""

from ordinaut.store import wait
from ordinaut.store.database import Database
from ordinaut.store.hints import RUN, WORK, Hints
from scheduler.metrics import WAITS_ENDED

BATCH = 500


class Deadline:
    """Ends waits whose time has come."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def turn(self) -> bool:
        """Ends one batch; True when it was full."""
        ended = await self._database.repeat(lambda connection: wait.expire(connection, BATCH))
        if ended:
            WAITS_ENDED.labels("deadline").inc(ended)
            self._hints.send(WORK, RUN)
        return ended >= BATCH
