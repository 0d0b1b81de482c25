"""Task health: the effect of ended runs on tasks with a run policy that monitors failures or overdue successes."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from ordinaut.store.sql import Connection
from ordinaut.store.tasks import task_health
from ordinaut.store.tasks.task_health import TaskHealth
from scheduler.events.match import RunEnd
from scheduler.maintenance.task_lifecycle import pause

SUCCEEDED, CANCELLED = "SUCCEEDED", "CANCELLED"


async def lock(connection: Connection, ended: Mapping[UUID, Sequence[RunEnd]]) -> list[TaskHealth]:
    """Locks those of the tasks that are monitored, and returns their health before these ends."""
    return await task_health.lock(connection, list(ended)) if ended else []


async def update(
    connection: Connection, ended: Mapping[UUID, Sequence[RunEnd]], monitored: Sequence[TaskHealth]
) -> int:
    """Counts consecutive failures and stores successes; pauses tasks that failed too often, and returns how many.

    Args:
        connection: in a transaction.
        ended: the ends of each task's runs in the order of the log, each passed exactly once.
        monitored: the result of `lock`.
    """
    health, to_pause = task_health.HealthColumns(), []
    for task in monitored:
        ends = [end for end in ended[task.task] if end.state != CANCELLED]
        limit = task.pause_after_failures if task.state == "ACTIVE" else None
        failures, is_limit_reached = count_failures(task.failures, [end.state == SUCCEEDED for end in ends], limit)
        health.tasks.append(task.task)
        health.failures.append(0 if is_limit_reached else failures)
        health.success_times.append(max((end.time for end in ends if end.state == SUCCEEDED), default=None))
        if is_limit_reached:
            to_pause.append((task.task, failures))
    if monitored:
        await task_health.record(connection, health)
    for uid, failures in to_pause:
        await pause(connection, uid, pause_reason(failures))
    return len(to_pause)


def pause_reason(failures: int) -> str:
    """The reason of a task that is paused after that many consecutive failures."""
    return f"{failures} runs in a row failed" if failures > 1 else "a run failed"


def count_failures(failures: int, outcomes: Sequence[bool], limit: int | None) -> tuple[int, bool]:
    """The consecutive failures after `outcomes` (True: succeeded), and whether the limit was reached.

    Counting stops at the limit.

    >>> count_failures(1, [False, True, False], limit=3)
    (1, False)
    >>> count_failures(1, [False, False, True], limit=3)
    (3, True)
    """
    for succeeded in outcomes:
        failures = 0 if succeeded else failures + 1
        if limit is not None and failures >= limit:
            return failures, True
    return failures, False
