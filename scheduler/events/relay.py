"""The relay: numbers committed rows of the event log, and sends numbered rows to the Redis stream.

Numbering is a separate step because neither ids nor commit times give readers a safe order (see event.sql). Sending
always starts at the lowest unsent position and appends with that position as the stream's id, which Redis accepts only
in ascending order. So any scheduler may relay at any time: two that send the same rows produce one copy, and rows that
a crashed relay left unsent are sent before any later ones.
"""

from ordinaut.store import event
from ordinaut.store.database import Database
from ordinaut.store.hints import EVENTS, Hints
from ordinaut.streams.event_stream import STREAM_FAILURES, EventStream
from ordinaut.telemetry import get_logger
from scheduler.events.log_entry import stream_entry
from scheduler.metrics import NUMBERED, OUTBOX_AGE, SENT

log = get_logger()
SEND_BATCH = 500


class Relay:
    """Numbers and sends rows of the event log; several schedulers may do so concurrently."""

    def __init__(self, database: Database, stream: EventStream, hints: Hints) -> None:
        self._database = database
        self._stream = stream
        self._hints = hints
        self._is_stream_unavailable = False

    async def number(self) -> bool:
        """Numbers one batch; True when it was full. It does not need Redis: events are matched without it too."""
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
            unsent = await event.unsent(connection, SEND_BATCH)
        OUTBOX_AGE.set(unsent.age)
        if not unsent.entries:
            return 0
        try:
            newest = await self._stream.newest()
            async with self._database.connection() as connection:
                last = await event.last_position(connection)
            if newest > last:
                await self._stream.delete("it is ahead of the log: PostgreSQL was restored")
            appended = await self._stream.append([stream_entry(entry) for entry in unsent.entries])
        except STREAM_FAILURES as failure:
            self._log_unavailable(failure)
            return 0
        self._is_stream_unavailable = False
        if not appended:
            return SEND_BATCH
        async with self._database.transaction() as connection:
            await event.mark_sent(connection, [entry.id for entry in unsent.entries])
        SENT.inc(len(unsent.entries))
        return len(unsent.entries)

    def _log_unavailable(self, failure: BaseException) -> None:
        if not self._is_stream_unavailable:
            log.warning("redis_not_reached", failure=str(failure))
        self._is_stream_unavailable = True
