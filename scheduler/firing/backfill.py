"""Backfill: instants of past time ranges become runs, as many at a time as each backfill allows.

Any scheduler may take the next step of any backfill. The position of the backfill moves in the transaction that queues
the runs, so that each instant is dealt with once even if a scheduler is killed between two steps.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.hints import OUTBOX, WORK, Hints
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import backfill
from ordinaut.store.tasks.backfill import ExaminedInstant, RunColumns, RunningBackfill
from ordinaut.telemetry import error_id, get_logger
from scheduler.firing.merged_rows import split_around
from scheduler.firing.next_instant import occurrence_key
from scheduler.firing.time_range import DueInstant, InstantPage, newest_first, oldest_first, position_after
from scheduler.metrics import ENQUEUED
from scheduler.schedules.schedule import CompiledSchedule

log = get_logger()
Position = tuple[UUID, datetime]  # a backfill's uid and its position
MIN_INSTANTS, MAX_INSTANTS = 64, 1000  # instants that one step examines
INSTANTS_PER_RUN = 4  # examined for each run that may be queued, since many instants ran before


class Backfill:
    """Takes the steps of all backfills."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._prefetched: tuple[Position, asyncio.Task[InstantPage]] | None = None

    async def run_once(self) -> bool:
        """Takes one step of the backfill that has waited longest; True if there was one."""
        async with self._database.connection() as connection:
            running = await backfill.claim(connection)
        if running is None:
            return False
        try:
            page = await self._page(running)
            enqueued = await self._database.repeat(lambda connection: _enqueue(connection, running, page))
        except STORE_FAILURES:
            raise
        except Exception as defect:  # noqa: BLE001 - one backfill's defect must not stop all others
            await self._abort(running, defect)
            return True
        if enqueued:
            ENQUEUED.labels("backfill").inc(enqueued)
            self._hints.send(WORK, OUTBOX)
        return True

    async def _page(self, running: RunningBackfill) -> InstantPage:
        """The next instants of a backfill; the page after it is computed in a thread while its runs are queued."""
        prefetched, self._prefetched = self._prefetched, None
        if prefetched and prefetched[0] == (running.uid, running.position):
            page = await prefetched[1]
        else:
            page = await asyncio.to_thread(page_of, running)
        if not page.complete and len(page.due) < running.parallelism - running.live:
            position = position_after(page.due[-1].instant.time, newest_first=running.newest_first)
            following = replace(running, position=position, live=running.live + len(page.due))
            work = asyncio.create_task(asyncio.to_thread(page_of, following))
            work.add_done_callback(_ignore_failure)
            self._prefetched = (running.uid, position), work
        return page

    async def _abort(self, running: RunningBackfill, defect: Exception) -> None:
        facts = {"task": str(running.task), "backfill": str(running.uid)}
        reference = error_id("backfill_cancelled_on_error", defect, **facts)
        async with self._database.transaction() as connection:
            reason = f"could not be processed (error {reference})"
            await backfill.abort(connection, backfill=running.uid, reason=reason)


def _ignore_failure(work: "asyncio.Task[InstantPage]") -> None:
    """Marks a failure of prefetching as retrieved: the step itself computes the page again and reports it."""
    if not work.cancelled():
        work.exception()


def page_of(running: RunningBackfill) -> InstantPage:
    """The instants that the next step of a backfill examines."""
    schedule = CompiledSchedule.read(running.schedule)
    limit = min(max((running.parallelism - running.live) * INSTANTS_PER_RUN, MIN_INSTANTS), MAX_INSTANTS)
    if not running.newest_first:
        return oldest_first(schedule, running.position, running.until_time, limit)
    width = (running.until_time - running.after_time) * limit / max(running.total, 1)
    return newest_first(schedule, running.after_time, running.position, limit, width)


async def _enqueue(connection: Connection, running: RunningBackfill, page: InstantPage) -> int:
    """Queues the selected runs of a page up to the backfill's parallelism, and moves its position after them."""
    locked = await backfill.lock(connection, backfill=running.uid, task=running.task, position=running.position)
    if locked is None:
        return 0
    examined = await backfill.examine(
        connection,
        task=running.task,
        reprocess=running.reprocess,
        settled_until=locked.settled_until,
        instants=[due.instant.time for due in page.due],
        keys=[occurrence_key(running.generation, due.instant) for due in page.due],
    )
    places, done = _first_selected(examined, running.parallelism - locked.live)
    if places:
        chosen = [(page.due[place], examined[place]) for place in places]
        await backfill.enqueue(connection, running.uid, await _columns(connection, running, chosen))
    position = None
    if done < len(examined) or not page.complete:
        last = examined[done - 1].instant if done else None
        position = position_after(last, newest_first=running.newest_first) if last else running.position
    await backfill.move(
        connection, backfill=running.uid, position=position, enqueued=len(places), skipped=done - len(places)
    )
    return len(places)


def _first_selected(examined: Sequence[ExaminedInstant], limit: int) -> tuple[list[int], int]:
    """The indices of the first `limit` selected instants, and how many instants are dealt with by them.

    Instants after the last selected one are left for the next step, selected or not.
    """
    places = [place for place, instant in enumerate(examined) if instant.selected]
    if len(places) <= limit:
        return places, len(examined)
    return places[:limit], places[limit - 1] + 1 if limit > 0 else 0


async def _columns(
    connection: Connection, running: RunningBackfill, chosen: Sequence[tuple[DueInstant, ExaminedInstant]]
) -> RunColumns:
    """The runs to queue, after merged rows have been split around them."""
    inside_merged = [due.instant.time for due, examined in chosen if examined.key is None or examined.merged]
    split_keys = await split_around(connection, running.task, inside_merged) if inside_merged else {}
    columns = RunColumns()
    for due, examined in chosen:
        instant = due.instant
        key = split_keys.get(instant.time) or (None if examined.merged else examined.key)
        columns.instants.append(instant.time)
        columns.keys.append(key or occurrence_key(running.generation, instant))
        columns.recorded.append(key is not None)
        columns.triggers.append(instant.trigger_id)
        columns.params.append(json.dumps(instant.params) if instant.params else None)
        columns.interval_ends.append(due.following)
    return columns
