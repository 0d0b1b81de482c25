"""Matcher: events become runs. Its position moves in the transaction that queues what it found."""

from collections.abc import Sequence
from itertools import takewhile

from ordinaut.store import backfill, child, due_work_enqueue, event
from ordinaut.store.database import DATA_ERRORS, Database
from ordinaut.store.hints import BACKFILL, EVENTS, OUTBOX, RUN, TURN, WORK, Hints, wait_hint
from ordinaut.store.sql import Connection
from ordinaut.streams.event_stream import STREAM_FAILURES, Entry, EventStream
from ordinaut.telemetry import get_logger
from scheduler.events import task_health
from scheduler.events.end_waits import end_waits
from scheduler.events.log_entry import entry_of, uid_of
from scheduler.events.match import Match, matches_of
from scheduler.maintenance.task_lifecycle import complete
from scheduler.metrics import ENQUEUED, MATCH_REFUSED, MATCHED, WAITS_ENDED

log = get_logger()
BATCH = 50  # rows of up to a thousand events
ENQUEUE_BATCH = 500
WAIT_SECONDS = 0.5


class Matcher:
    """Reads the stream, or the log itself where the stream has a gap or is away."""

    def __init__(self, database: Database, stream: EventStream, hints: Hints) -> None:
        self._database = database
        self._stream = stream
        self._hints = hints
        self._wake = hints.subscribe(EVENTS)
        self._position: int | None = None
        self._elsewhere = False
        self._ahead = False
        self._behind = False

    async def turn(self) -> bool:
        """Waits for events and matches one batch; always True: the waiting is done here."""
        entries = await self._wait()
        hints: set[str] = set()
        async with self._database.transaction() as connection:
            locked = await event.lock_matcher(connection)
            if locked is None:
                self._position = None
                self._elsewhere = True
                return True
            entries = await self._contiguous(connection, entries, locked)
            self._position = locked
            if entries:
                hints = await self._match(connection, entries)
                self._position = entries[-1].position + entries[-1].count - 1
                await event.move_matcher(connection, self._position)
        if hints:  # now, because who looks before the commit finds nothing
            self._hints.send(*hints)
        return True

    async def _wait(self) -> list[Entry]:
        if self._behind:  # the log has more than was read from it
            return []
        if self._ahead:  # the stream holds what the log does not: it will be deleted, until then it is no news
            await wait_hint(self._wake, WAIT_SECONDS)
            return []
        if self._position is None:
            if self._elsewhere:  # another scheduler is matching
                await wait_hint(self._wake, WAIT_SECONDS)
            return []
        try:
            return await self._stream.read(self._position, limit=BATCH, block_seconds=WAIT_SECONDS)
        except STREAM_FAILURES:  # the relay says so in the log
            await wait_hint(self._wake, WAIT_SECONDS)
            return []

    async def _contiguous(self, connection: Connection, entries: list[Entry], position: int) -> list[Entry]:
        """The rows behind `position`: the stream's as far as it has the very same rows, else the log's."""
        known = await event.following(connection, after=position, batch=BATCH)
        self._ahead = bool(entries) and not known
        streamed = {entry.uid: entry for entry in entries}
        same = list(takewhile(lambda row: uid_of(row) in streamed, known))
        self._behind = not same and len(known) == BATCH
        if same or not known:
            return [streamed[uid_of(row)] for row in same]
        return [entry_of(row) for row in await event.read(connection, project=None, after=position, batch=BATCH)]

    async def _match(self, connection: Connection, entries: Sequence[Entry]) -> set[str]:
        """What follows from some events; what to hint at once it is committed."""
        hints: set[str] = set()
        triggers = await event.triggers(connection, list({entry.project for entry in entries}))
        found = matches_of(entries, triggers)
        MATCHED.inc(sum(entry.count for entry in entries))
        faring = await task_health.lock(connection, found.ended)  # tasks are locked before cursors
        queued = buffered = 0
        for start in range(0, len(found.matches), ENQUEUE_BATCH):
            more = await _enqueue(connection, found.matches[start : start + ENQUEUE_BATCH])
            queued, buffered = queued + more[0], buffered + more[1]
        if queued:
            ENQUEUED.labels("event").inc(queued)
            hints |= {WORK, OUTBOX, *([TURN] if buffered else [])}
        if await task_health.judge(connection, found.ended, faring):
            hints.add(OUTBOX)
        await complete(connection, list(found.ended))
        if found.backfilled and await backfill.settle(connection, found.backfilled):
            hints.add(BACKFILL)
        if woken := await end_waits(connection, entries):
            WAITS_ENDED.labels("event").inc(woken)
            hints |= {WORK, RUN}
        if found.children and (woken := await child.settle(connection, found.children)):
            WAITS_ENDED.labels("child").inc(woken)
            hints |= {WORK, RUN}
        return hints


async def _enqueue(connection: Connection, matches: Sequence[Match]) -> tuple[int, int]:
    """Queues runs: how many, and how many of these wait for their turn.

    A batch that PostgreSQL refuses is halved, and what is guilty alone is left out.
    """
    try:
        async with connection.transaction():
            return await due_work_enqueue.enqueue_for_events(connection, matches)
    except DATA_ERRORS as failure:
        if len(matches) == 1:
            MATCH_REFUSED.inc()
            log.error("event_match_rejected", task=str(matches[0].task), uid=matches[0].uid, failure=str(failure))
            return 0, 0
    middle = len(matches) // 2
    first, second = [await _enqueue(connection, half) for half in (matches[:middle], matches[middle:])]
    return first[0] + second[0], first[1] + second[1]
