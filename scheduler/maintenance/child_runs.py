"""Child runs: a step resumes when the run that it waits for has ended, and a child that no step waits for is cancelled.

The matcher ends most of these waits when it reads the event of the end. This loop finds the rest: waits that were
stored after that event was matched.
"""

from ordinaut.store.database import Database
from ordinaut.store.hints import CANCEL, OUTBOX, RUN, WORK, Hints
from ordinaut.store.queue import child, due_work_finish
from ordinaut.store.sql import Connection
from scheduler.metrics import WAITS_ENDED

BATCH = 200


class ChildRuns:
    """Ends waits for runs that have ended, and cancels abandoned child runs."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Processes one batch of each kind; True when there may be more."""
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
        reason = f"runs/{row.parent} no longer waits for it"
        await due_work_finish.request_cancel(connection, run=row.run, reason=reason)
    return len(rows)
