"""Fire: cursors that are due become occurrences and runs, a thousand in one statement."""

from ordinaut.store.database import Database
from ordinaut.store.hints import BUFFERED, OUTBOX, WORK, Hints
from ordinaut.store.tasks import cursor
from scheduler.firing.bisect import bisect_batch
from scheduler.maintenance.task_lifecycle import set_aside
from scheduler.metrics import ENQUEUED, FIRE_LAG, FIRED, UNFIRED


class Fire:
    """Fires due cursors; `batch` is how many in one statement."""

    def __init__(self, database: Database, hints: Hints, batch: int) -> None:
        self._database = database
        self._hints = hints
        self._batch = batch

    async def run_once(self) -> bool:
        """Fires one batch; True when it was full."""
        fired = await bisect_batch(self._batch, self._fire, self._set_aside)
        if fired.moved:
            FIRED.inc(fired.moved)
            ENQUEUED.labels("schedule").inc(fired.queued)
            UNFIRED.labels("EXCLUDED").inc(fired.excluded)
            self._hints.send(WORK, OUTBOX, *([BUFFERED] if fired.buffered else []))
        return fired.moved >= self._batch

    async def seconds_to_next(self) -> float | None:
        """How long until the earliest cursor is due; None when no cursor will be."""
        async with self._database.connection() as connection:
            seconds = await cursor.seconds_to_next(connection)
        FIRE_LAG.set(max(0.0, -(seconds or 0.0)))
        return seconds

    async def _fire(self, batch: int) -> cursor.Fired:
        return await self._database.repeat(lambda connection: cursor.fire(connection, batch), one_statement=True)

    async def _set_aside(self, failure: BaseException) -> cursor.Fired:
        async with self._database.transaction() as connection:
            if task := await cursor.first_due(connection):
                await set_aside(
                    connection,
                    task,
                    "could not be fired",
                    failure,
                )
        return cursor.Fired(self._batch)
