"""Runs of a task that may not overlap are live one at a time, in FIFO order.

At most one row of a task is exclusive: a unique index ensures it. Buffered rows are BLOCKED and not exclusive.
"""

from dataclasses import dataclass

from ordinaut.store.queue import due_work_finish
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class Released:
    """The number of runs released, and the number of tasks that had buffered runs.

    `superseding`: a buffered run wants the older ones cancelled first.
    """

    runs: int
    tasks: int
    superseding: bool


@dataclass(frozen=True, slots=True)
class Superseded:
    """Runs cancelled for a newer one: those that ended at once, and those that their worker will end."""

    ended: int
    requested: int


async def release_blocked(connection: Connection, batch: int) -> Released:
    """Makes the oldest buffered run claimable in up to `batch` tasks without an exclusive run.

    Raises:
        IntegrityConstraintViolationError: a run that needed no buffering became exclusive at the same time; repeat.
    """
    return Released(*await SQL.release_blocked.row(connection, batch=batch))


async def cancel_superseded(connection: Connection, batch: int) -> Superseded:
    """Cancels up to `batch` runs for newer ones that are to replace them; in a transaction."""
    answers = [
        await due_work_finish.request_cancel(connection, run=row["run"], reason=f"runs/{row['by']} takes its place")
        for row in await SQL.superseded.rows(connection, batch=batch)
    ]
    return Superseded(answers.count("ENDED"), answers.count("REQUESTED"))
