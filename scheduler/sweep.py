"""Sweep: delayed runs become claimable when their time has come."""

from ordinaut.store import due_work
from ordinaut.store.database import Database
from ordinaut.store.hints import WORK, Hints
from scheduler.metrics import PROMOTED

BATCH = 1000


class Sweep:
    """Promotes delayed rows."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def turn(self) -> bool:
        """Promotes one batch; True when it was full."""
        promoted = await self._database.repeat(
            lambda connection: due_work.promote(connection, BATCH), one_statement=True
        )
        if promoted:
            PROMOTED.inc(promoted)
            self._hints.send(WORK)
        return promoted >= BATCH

    async def seconds_to_next(self) -> float | None:
        """How long until the next delayed row is due."""
        async with self._database.connection() as connection:
            return await due_work.seconds_to_promotion(connection)
