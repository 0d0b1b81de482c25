"""Health: what the ends of its runs mean for a task whose run policy keeps an eye on it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from ordinaut.store import task_health
from ordinaut.store.sql import Connection, Record
from scheduler.events.match import End
from scheduler.maintenance.task_lifecycle import pause

SUCCEEDED, CANCELLED = "SUCCEEDED", "CANCELLED"


async def lock(connection: Connection, ended: Mapping[UUID, Sequence[End]]) -> list[Record]:
    """Locks those of the tasks that somebody keeps an eye on, and tells how they have fared so far."""
    return await task_health.lock(connection, list(ended)) if ended else []


async def judge(connection: Connection, ended: Mapping[UUID, Sequence[End]], rows: Sequence[Record]) -> int:
    """Counts failures in a row and puts off what is overdue; pauses tasks that failed too often, returns how many.

    To be called with each task's ends in the order of the log, each once, and with what `lock` told.
    """
    faring, guilty = task_health.FaringColumns(), []
    for row in rows:
        ends = [end for end in ended[row["task"]] if end.state != CANCELLED]
        failures, too_many = count(row["failures"], [end.state == SUCCEEDED for end in ends], _limit(row))
        faring.tasks.append(row["task"])
        faring.failures.append(0 if too_many else failures)
        faring.success_times.append(max((end.time for end in ends if end.state == SUCCEEDED), default=None))
        if too_many:
            guilty.append((row["task"], failures))
    if rows:
        await task_health.record(connection, faring)
    for task, failures in guilty:
        await pause(connection, task, why_paused(failures))
    return len(guilty)


def why_paused(failures: int) -> str:
    """The reason that a task gets which is paused after so many failures in a row."""
    return f"{failures} runs in a row failed" if failures > 1 else "a run failed"


def count(failures: int, outcomes: Sequence[bool], limit: int | None) -> tuple[int, bool]:
    """Failures in a row after `outcomes` (True: succeeded), and whether the limit was reached on the way.

    Counting stops there.
    """
    for succeeded in outcomes:
        failures = 0 if succeeded else failures + 1
        if limit is not None and failures >= limit:
            return failures, True
    return failures, False


def _limit(row: Record) -> int | None:
    limit: int | None = row["pause_after_failures"]
    return limit if row["state"] == "ACTIVE" else None
