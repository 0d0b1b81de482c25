"""Overdue: the dead man's switch. A task that has not succeeded for too long is told of, once for each lapse."""

from ordinaut.store import event, task_health
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, Hints
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from scheduler.metrics import OVERDUE

log = get_logger()
BATCH = 100


class OverdueTasks:
    """Looks for lapses."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Tells of one batch; True when it was full."""
        found = await self._database.repeat(_tell)
        if found:
            self._hints.send(OUTBOX)
        return found >= BATCH


async def _tell(connection: Connection) -> int:
    rows = await task_health.tell_overdue(connection, BATCH)
    for row in rows:
        if row["expected"]:
            OVERDUE.inc()
            log.warning("task_overdue", task=row["name"], project=row["project"], seconds=row["seconds"])
            told = event.of_task("overdue", row["task"], row["name"], expect_success_every=f"{row['seconds']:g}s")
            await event.announce(connection, row["project"], [told])
    return len(rows)
