"""Whose turn it is: runs of a task that may not overlap are live one after the other.

At most one row of a task is exclusive: that is a unique index. Those that wait are BLOCKED and not exclusive.
"""

from dataclasses import dataclass

from ordinaut.store import due_work_finish
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class Turns:
    """What came of giving turns: how many were given, and in how many tasks runs had waited.

    `superseding`: one that waits wants the others cancelled first.
    """

    given: int
    lines: int
    superseding: bool


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Runs that were cancelled for a newer one: those that ended, and those that their worker will end."""

    ended: int
    requested: int


async def give_turns(connection: Connection, batch: int) -> Turns:
    """Makes the run that waits longest claimable in up to `batch` tasks without a live one.

    Raises:
        IntegrityConstraintViolationError: a run became live without waiting, meanwhile; look again.
    """
    return Turns(**await SQL.give_turns.row(connection, batch=batch))


async def cancel_overtaken(connection: Connection, batch: int) -> Overtaken:
    """Cancels up to `batch` runs for newer ones that are to replace them; in a transaction."""
    answers = [
        await due_work_finish.request_cancel(connection, run=row["run"], reason=f"runs/{row['by']} takes its place")
        for row in await SQL.overtaken.rows(connection, batch=batch)
    ]
    return Overtaken(answers.count("ENDED"), answers.count("REQUESTED"))
