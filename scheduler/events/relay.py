"""Relay: numbers committed rows of the event log and sends every numbered, unsent one to the stream."""

from ordinaut.store import event
from ordinaut.store.database import Database
from ordinaut.store.hints import EVENTS, Hints
from ordinaut.streams.event_stream import STREAM_FAILURES, EventStream
from ordinaut.telemetry import get_logger
from scheduler.events.log_entry import entry_of
from scheduler.metrics import NUMBERED, OUTBOX_AGE, SENT

log = get_logger()
SEND_BATCH = 500


class Relay:
    """Any process may relay: a stalled one is overtaken, never skipped."""

    def __init__(self, database: Database, stream: EventStream, hints: Hints) -> None:
        self._database = database
        self._stream = stream
        self._hints = hints
        self._stream_away = False

    async def number(self) -> bool:
        """Numbers one batch; True when it was full. It never waits for Redis: events are matched without it."""
        numbered = await self._database.repeat(event.number)
        if numbered:
            NUMBERED.inc(numbered)
            self._hints.send(EVENTS)
        return numbered >= event.NUMBER_BATCH

    async def send(self) -> bool:
        """Sends one batch; True when there may be more."""
        return await self._send() >= SEND_BATCH

    async def _send(self) -> int:
        async with self._database.connection() as connection:
            rows = await event.unsent(connection, SEND_BATCH)
        OUTBOX_AGE.set(rows[0]["age"] if rows else 0)
        if not rows:
            return 0
        try:
            newest = await self._stream.newest()
            async with self._database.connection() as connection:
                last = await event.last_position(connection)
            if newest > last:
                await self._stream.delete("it is ahead of the log: PostgreSQL was restored")
            kept = await self._stream.append([entry_of(row) for row in rows])
        except STREAM_FAILURES as failure:
            self._note_away(failure)
            return 0
        self._stream_away = False
        if not kept:
            return SEND_BATCH
        async with self._database.transaction() as connection:
            await event.mark_sent(connection, [row["id"] for row in rows])
        SENT.inc(len(rows))
        return len(rows)

    def _note_away(self, failure: BaseException) -> None:
        if not self._stream_away:
            log.warning("redis_not_reached", failure=str(failure))
        self._stream_away = True
