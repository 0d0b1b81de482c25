"""Deadlines: timers end, waits for events that did not come fail, questions that nobody has answered expire."""

from ordinaut.store import approval, wait
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.sql import Connection
from scheduler.metrics import WAITS_ENDED

BATCH = 500


class ExpireWaits:
    """Ends waits whose time has come."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Ends one batch; True when it was full."""
        ended = await self._database.repeat(_expire)
        if ended:
            WAITS_ENDED.labels("deadline").inc(ended)
            self._hints.send(WORK, RUN, OUTBOX)
        return ended >= BATCH


async def _expire(connection: Connection) -> int:
    rows = await wait.expire(connection, BATCH)
    await approval.expire(connection, [(row["run"], row["path"]) for row in rows if row["kind"] == wait.APPROVAL])
    return len(rows)
