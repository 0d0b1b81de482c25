"""Ends waits at their deadline: timers succeed, waits for events fail, unanswered approvals expire."""

from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, RUN, WORK, Hints
from ordinaut.store.queue import wait
from ordinaut.store.runs import approval
from ordinaut.store.sql import Connection
from scheduler.metrics import WAITS_ENDED

BATCH = 500


class ExpireWaits:
    """Ends waits past their deadline."""

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
    expired = await wait.expire(connection, BATCH)
    await approval.expire(connection, [(ended.run, ended.path) for ended in expired if ended.kind == wait.APPROVAL])
    return len(expired)
