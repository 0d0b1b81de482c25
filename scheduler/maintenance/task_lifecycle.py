"""What becomes of tasks without anybody asking, told to the log in the same transaction."""

from collections.abc import Sequence
from uuid import UUID

from ordinaut.store import cursor, event
from ordinaut.store.sql import Connection
from ordinaut.telemetry import get_logger
from scheduler.metrics import PAUSED, SET_ASIDE

log = get_logger()


async def complete(connection: Connection, tasks: Sequence[UUID]) -> int:
    """Marks as COMPLETED those of the tasks that have nothing more to do; returns how many.

    To be called once the end of their schedule is committed: whoever comes last, this or the end of the last run,
    sees both.
    """
    rows = await cursor.complete_tasks(connection, tasks)
    for row in rows:
        await event.announce(connection, row["project"], [event.of_task("completed", row["uid"], row["name"])])
    return len(rows)


async def set_aside(connection: Connection, task: UUID, reason: str) -> None:
    """Pauses a task whose schedule cannot be worked on, so that no other has to wait for it."""
    SET_ASIDE.inc()
    log.error("task_paused_on_schedule_error", task=str(task), failure=reason)
    for row in await cursor.set_aside(connection, task=task, reason=reason):
        await event.announce(connection, row["project"], [event.of_task("paused", row["uid"], row["name"])])


async def pause(connection: Connection, task: UUID, reason: str) -> None:
    """Pauses an active task that is locked, after everything up to now is settled."""
    await cursor.settle(connection, task, snoozed_too=False)
    for row in await cursor.set_aside(connection, task=task, reason=reason):
        PAUSED.inc()
        log.warning("task_paused", task=row["name"], project=row["project"], reason=reason)
        told = event.of_task("paused", row["uid"], row["name"], reason=reason)
        await event.announce(connection, row["project"], [told])
