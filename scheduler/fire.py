"""Fire: cursors that are due become occurrences and runs, a thousand in one statement."""

from ordinaut.store import cursor
from ordinaut.store.database import DATA_ERRORS, Database
from ordinaut.store.hints import OUTBOX, WORK, Hints
from scheduler.lifecycle import set_aside
from scheduler.metrics import ENQUEUED, FIRE_LAG, FIRED, UNFIRED


class Fire:
    """Fires what is due and knows when the next cursor will be."""

    def __init__(self, database: Database, hints: Hints, batch: int) -> None:
        self._database = database
        self._hints = hints
        self._batch = batch

    async def turn(self) -> bool:
        """Fires one batch; True when it was full."""
        fired = await self._halving(self._batch)
        if fired.moved:
            FIRED.inc(fired.moved)
            ENQUEUED.labels("schedule").inc(fired.enqueued)
            UNFIRED.labels("EXCLUDED").inc(fired.excluded)
            self._hints.send(WORK, OUTBOX)
        return fired.moved >= self._batch

    async def seconds_to_next(self) -> float | None:
        """How long until the earliest cursor is due."""
        async with self._database.connection() as connection:
            seconds = await cursor.seconds_to_next(connection)
        FIRE_LAG.set(max(0.0, -(seconds or 0.0)))
        return seconds

    async def _halving(self, batch: int) -> cursor.Fired:
        """A batch that PostgreSQL refuses is halved; a cursor that is guilty alone is set aside."""
        try:
            return await self._database.repeat(lambda connection: cursor.fire(connection, batch), one_statement=True)
        except DATA_ERRORS as failure:
            if batch > 1:
                return await self._halving(batch // 2)
            async with self._database.transaction() as connection:
                if task := await cursor.first_due(connection):
                    await set_aside(connection, task, f"could not be fired: {failure}")
            return cursor.Fired(self._batch, 0)
