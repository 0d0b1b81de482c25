"""Children: steps go on when the runs that they wait for have ended, and nobody's children do not go on alone.

The matcher ends most waits, as soon as it reads of an end. This finds what it could not know, and what it has missed.
"""

from ordinaut.store import child, due_work_finish
from ordinaut.store.database import Database
from ordinaut.store.hints import CANCEL, OUTBOX, RUN, WORK, Hints
from ordinaut.store.sql import Connection
from scheduler.metrics import WAITS_ENDED

BATCH = 200


class Children:
    """Ends waits for runs that have ended, and cancels runs whose steps have given them up."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def turn(self) -> bool:
        """One batch of each kind; True when there may be more."""
        settled = await self._database.repeat(_settle)
        if settled:
            WAITS_ENDED.labels("child").inc(settled)
            self._hints.send(WORK, RUN)
        abandoned = await self._database.repeat(_cancel)
        if abandoned:
            self._hints.send(CANCEL, OUTBOX, RUN)
        return abandoned > 0 or settled >= BATCH


async def _settle(connection: Connection) -> int:
    return await child.settle(connection, await child.ended(connection, BATCH))


async def _cancel(connection: Connection) -> int:
    rows = await child.abandon(connection, BATCH)
    for row in rows:
        reason = f"runs/{row['parent']} does not wait for it any more"
        await due_work_finish.request_cancel(connection, run=row["run"], reason=reason)
    return len(rows)
