"""Overdue tasks (the dead man's switch): an event for each task that has not succeeded for too long, once per lapse."""

from ordinaut.store import event
from ordinaut.store.database import Database
from ordinaut.store.hints import OUTBOX, Hints
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import task_health
from ordinaut.telemetry import get_logger
from scheduler.metrics import OVERDUE

log = get_logger()
BATCH = 100


class OverdueTasks:
    """Publishes an event for each overdue task."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Publishes one batch; True when it was full."""
        count = await self._database.repeat(_announce)
        if count:
            self._hints.send(OUTBOX)
        return count >= BATCH


async def _announce(connection: Connection) -> int:
    tasks = await task_health.take_overdue(connection, BATCH)
    for task in tasks:
        if task.expected:
            OVERDUE.inc()
            log.warning("task_overdue", task=task.name, project=task.project, seconds=task.seconds)
            overdue = event.of_task("overdue", task.task, task.name, expect_success_every=f"{task.seconds:g}s")
            await event.announce(connection, task.project, [overdue])
    return len(tasks)
