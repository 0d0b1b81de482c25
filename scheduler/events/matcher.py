"""The matcher: events become runs. Its position moves in the transaction that queues those runs.

One process matches at a time, in the order of positions, and without a gap: every event up to the position has been
matched. Numbered rows have consecutive positions, and numbering gives them only to committed rows, so a row without a
position is not skipped: it gets a higher position than every numbered one, and will be read after them. The matcher
therefore never moves past an unnumbered row, and no long transaction can make it miss an event.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from ordinaut.store import event, match_todo
from ordinaut.store.database import Database
from ordinaut.store.hints import BACKFILL, BUFFERED, JUDGE, OUTBOX, RUN, WORK, Hints
from ordinaut.store.match_todo import NewTodo
from ordinaut.store.queue import child
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import backfill
from ordinaut.streams.event_stream import Entry
from scheduler.conditions.allowance import Allowances
from scheduler.events import task_health
from scheduler.events.end_waits import Key, end_waits
from scheduler.events.enqueue import enqueue
from scheduler.events.log_entry import first_bytes, stream_entry
from scheduler.events.match import Matching
from scheduler.maintenance.task_lifecycle import complete
from scheduler.metrics import ENQUEUED, MATCHED, WAITS_ENDED

BATCH = 50  # rows of up to a thousand events
BATCH_BYTES = 4 * 1024 * 1024


class Matcher:
    """Matches the events of the log; several schedulers may try to, and one does."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints

    async def run_once(self) -> bool:
        """Matches one batch; True if there may be more."""
        async with self._database.connection() as connection:
            if not await event.has_unmatched(connection):
                return False
        hints: set[str] = set()
        async with self._database.transaction() as connection:
            position = await event.lock_matcher(connection)
            if position is None:  # another scheduler is matching
                return False
            rows = await event.read(connection, project=None, after=position, batch=BATCH)
            entries = [stream_entry(row) for row in first_bytes(rows, BATCH_BYTES)]
            if entries:
                hints = await self._match(connection, entries)
                await event.move_matcher(connection, entries[-1].position + entries[-1].count - 1)
        if hints:  # sent after the commit: before it, their receivers would find nothing
            self._hints.send(*hints)
        return len(rows) == BATCH or len(entries) < len(rows)

    async def _match(self, connection: Connection, entries: Sequence[Entry]) -> set[str]:
        """Applies the consequences of some events; returns the hints to send after the commit."""
        hints: set[str] = set()
        triggers = await event.triggers(connection, list({entry.project for entry in entries}), entries[0].position - 1)
        allowances = Allowances()
        matching = Matching(triggers, allowances)
        for entry in entries:
            matching.add(entry)
            await asyncio.sleep(0)  # firing and the other loops do not wait for a whole batch
        result = matching.result
        MATCHED.inc(sum(entry.count for entry in entries))
        monitored = await task_health.lock(connection, result.ended)  # tasks are locked before cursors
        queued, buffered = await enqueue(connection, result.matches)
        if queued:
            ENQUEUED.labels("event").inc(queued)
            hints |= {WORK, OUTBOX, *([BUFFERED] if buffered else [])}
        if await task_health.update(connection, result.ended, monitored):
            hints.add(OUTBOX)
        await complete(connection, list(result.ended))
        if result.backfilled and await backfill.settle(connection, result.backfilled):
            hints.add(BACKFILL)
        woken, pending_waits = await end_waits(connection, entries, allowances)
        if woken:
            WAITS_ENDED.labels("event").inc(woken)
            hints |= {WORK, RUN}
        if await _leave_pending(connection, entries, result.pending, pending_waits):
            hints.add(JUDGE)
        if result.children and (woken := await child.settle(connection, result.children)):
            WAITS_ENDED.labels("child").inc(woken)
            hints |= {WORK, RUN}
        return hints


async def _leave_pending(
    connection: Connection,
    entries: Sequence[Entry],
    triggers: Mapping[int, Iterable[int]],
    waits: Mapping[int, Iterable[Key]],
) -> bool:
    """Stores the conditions that are still to be evaluated, one entry for each project; whether there are any."""
    rows: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.position in triggers or entry.position in waits:
            rows[entry.project].append(entry)
    todos = [
        NewTodo(
            project=project,
            after=first.position - 1,
            until=last.position + last.count - 1,
            triggers=list(dict.fromkeys(each for row in pending for each in triggers.get(row.position, ()))),
            waits=list(dict.fromkeys(each for row in pending for each in waits.get(row.position, ()))),
            event_time=min(datetime.fromtimestamp(row.time_us / 1_000_000, UTC) for row in pending),
        )
        for project, pending in rows.items()
        for first, last in [(pending[0], pending[-1])]
    ]
    await match_todo.add(connection, todos)
    return bool(todos)
