"""The matcher: events become runs. Its position moves in the transaction that queues those runs.

One process matches at a time, in the order of positions, and without a gap: every event up to the position has been
matched. Numbered rows have consecutive positions, and numbering gives them only to committed rows, so a row without a
position is not skipped: it gets a higher position than every numbered one, and will be read after them. The matcher
therefore never moves past an unnumbered row, and no long transaction can make it miss an event.

The Redis stream is only a faster copy. Before its entries are used, they are compared with the log's rows after the
position: a missing entry or one of another database (after a restore) differs, and then the log itself is read.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile

from ordinaut.store import event, match_todo
from ordinaut.store.database import Database
from ordinaut.store.hints import BACKFILL, BUFFERED, EVENTS, JUDGE, OUTBOX, RUN, WORK, Hints, wait_hint
from ordinaut.store.match_todo import NewTodo
from ordinaut.store.queue import child
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import backfill
from ordinaut.streams.event_stream import STREAM_FAILURES, Entry, EventStream
from ordinaut.telemetry import get_logger
from scheduler.conditions.allowance import Allowances
from scheduler.events import task_health
from scheduler.events.end_waits import Key, end_waits
from scheduler.events.enqueue import enqueue
from scheduler.events.log_entry import first_bytes, stream_entry, uid_of
from scheduler.events.match import Matching
from scheduler.maintenance.task_lifecycle import complete
from scheduler.metrics import ENQUEUED, MATCHED, WAITS_ENDED

log = get_logger()
BATCH = 50  # rows of up to a thousand events
BATCH_BYTES = 4 * 1024 * 1024
WAIT_SECONDS = 0.5


class Matcher:
    """Matches the events of the stream, or of the log where the stream has a gap or is unavailable."""

    def __init__(self, database: Database, stream: EventStream, hints: Hints) -> None:
        self._database = database
        self._stream = stream
        self._hints = hints
        self._events_hint = hints.subscribe(EVENTS)
        self._position: int | None = None
        self._is_locked_elsewhere = False
        self._is_stream_ahead = False
        self._has_backlog = False

    async def run_once(self) -> bool:
        """Waits for events and matches one batch; always True, because this method itself waits."""
        entries = await self._wait()
        hints: set[str] = set()
        async with self._database.transaction() as connection:
            locked = await event.lock_matcher(connection)
            if locked is None:
                self._position = None
                self._is_locked_elsewhere = True
                return True
            entries = list(first_bytes(await self._contiguous(connection, entries, locked), BATCH_BYTES))
            self._position = locked
            if entries:
                hints = await self._match(connection, entries)
                self._position = entries[-1].position + entries[-1].count - 1
                await event.move_matcher(connection, self._position)
        if hints:  # sent after the commit: before it, their receivers would find nothing
            self._hints.send(*hints)
        return True

    async def _wait(self) -> list[Entry]:
        if self._has_backlog:
            return []
        if self._is_stream_ahead:  # it has entries that the log has not, until the relay deletes it: they are not new
            await wait_hint(self._events_hint, WAIT_SECONDS)
            return []
        if self._position is None:
            if self._is_locked_elsewhere:  # another scheduler is matching
                await wait_hint(self._events_hint, WAIT_SECONDS)
            return []
        try:
            return await self._stream.read(self._position, limit=BATCH, block_seconds=WAIT_SECONDS)
        except STREAM_FAILURES:  # the relay logs it
            await wait_hint(self._events_hint, WAIT_SECONDS)
            return []

    async def _contiguous(self, connection: Connection, entries: list[Entry], position: int) -> list[Entry]:
        """The next rows after `position`: the stream's entries as long as they equal the log's rows, else the log's."""
        marks = await event.following(connection, after=position, batch=BATCH)
        self._is_stream_ahead = bool(entries) and not marks
        streamed = {entry.uid: entry for entry in entries}
        same = list(takewhile(lambda mark: uid_of(mark) in streamed, marks))
        self._has_backlog = not same and len(marks) == BATCH
        if same or not marks:
            return [streamed[uid_of(mark)] for mark in same]
        return [stream_entry(row) for row in await event.read(connection, project=None, after=position, batch=BATCH)]

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
