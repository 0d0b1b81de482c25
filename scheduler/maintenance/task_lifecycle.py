"""State changes of tasks by the system, each published to the event log in the same transaction."""

from collections.abc import Sequence
from uuid import UUID

from ordinaut.store import event
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor
from ordinaut.telemetry import error_id, get_logger
from scheduler.metrics import PAUSED, SET_ASIDE

log = get_logger()


async def complete(connection: Connection, tasks: Sequence[UUID]) -> int:
    """Marks as COMPLETED those of the tasks that can never run again; returns how many.

    To be called after the end of their schedule is committed. It is also called at the end of their last run; the later
    of both calls sees both facts.
    """
    completed = await cursor.complete_tasks(connection, tasks)
    for task in completed:
        await event.announce(connection, task.project, [event.of_task("completed", task.uid, task.name)])
    return len(completed)


async def set_aside(connection: Connection, task: UUID, what: str, failure: BaseException) -> None:
    """Pauses a task if its schedule cannot be evaluated, so that it does not block the others.

    `what` begins the reason, such as "could not be fired"; the failure itself is only logged.
    """
    SET_ASIDE.inc()
    reason = f"{what} (error {error_id('task_paused_on_schedule_error', failure, task=str(task))})"
    for paused in await cursor.pause_task(connection, task=task, reason=reason):
        await event.announce(connection, paused.project, [event.of_task("paused", paused.uid, paused.name)])


async def pause(connection: Connection, task: UUID, reason: str) -> None:
    """Settles everything up to now, then pauses a locked task if it is active."""
    await cursor.settle(connection, task, snoozed_too=False)
    for paused in await cursor.pause_task(connection, task=task, reason=reason):
        PAUSED.inc()
        log.warning("task_paused", task=paused.name, project=paused.project, reason=reason)
        message = event.of_task("paused", paused.uid, paused.name, reason=reason)
        await event.announce(connection, paused.project, [message])
