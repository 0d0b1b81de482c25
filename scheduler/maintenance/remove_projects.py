"""Deletes projects in state DELETING: stops their tasks, cancels their runs, then deletes their rows in batches."""

from datetime import timedelta
from functools import partial

from ordinaut.store.database import Database
from ordinaut.store.hints import CANCEL, OUTBOX, RUN, Hints
from ordinaut.store.projects import removal
from ordinaut.store.projects.removal import Removal
from ordinaut.store.queue import due_work_finish
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import backfill, cursor, task
from ordinaut.telemetry import get_logger

log = get_logger()
BATCH = 1000
TASKS = 100
SETTLE = timedelta(minutes=6)
"""Calls last at most five minutes. One that began before the deletion may write until then."""
PATIENCE = timedelta(minutes=15)
"""Afterwards runs that were cancelled and have not ended are taken out of the queue."""
REASON = "the project was deleted"


class RemoveProjects:
    """Deletes projects."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Does one batch for each project; True when there may be more to do at once."""
        may_have_more, after = False, ""
        while True:
            worked, project = await self._database.repeat(partial(_step, after=after))
            if project is None:
                return may_have_more
            may_have_more, after = may_have_more or worked, project
            if worked:
                self._hints.send(CANCEL, RUN, OUTBOX)


async def _step(connection: Connection, after: str) -> tuple[bool, str | None]:
    """One batch for the next project after `after`: whether it changed anything, and the project."""
    candidate = await removal.lock(connection, after=after, settle=SETTLE, patience=PATIENCE)
    if candidate is None:
        return False, None
    worked = await _stop(connection, candidate) or await _delete(connection, candidate)
    return worked, candidate.project


async def _stop(connection: Connection, candidate: Removal) -> bool:
    """Ends what may start or continue a run."""
    tasks = await removal.tasks(connection, candidate.project, TASKS)
    for uid in tasks:
        await cursor.remove(connection, uid)
        await task.delete(connection, uid)
        await backfill.cancel(connection, uid, None, REASON)
    runs = await removal.live_runs(connection, candidate.project, BATCH)
    if runs:
        await due_work_finish.cancel_runs(connection, runs=runs, reason=REASON)
    return bool(tasks or runs)


async def _delete(connection: Connection, candidate: Removal) -> bool:
    if candidate.overdue and await removal.drop_live_runs(connection, candidate.project, BATCH):
        return True
    if not candidate.settled or await removal.has_live_runs(connection, candidate.project):
        return False
    if await removal.delete_rows(connection, candidate.project, BATCH):
        return True
    if await removal.finish(connection, candidate.project, BATCH):
        log.info("project_deleted", project=candidate.project)
        return True
    return False
