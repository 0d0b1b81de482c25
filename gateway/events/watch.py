"""Streams events to watchers; one reader of the log serves all watchers of this process.

The reader keeps the newest rows in memory. A watcher holds only a position: if the rows after its position are
all in memory it takes them from there, otherwise it reads the log itself until it has caught up. With a query for each
watcher, the load on PostgreSQL would grow with watchers times events; with a queue for each watcher, a slow client
would need memory without bound or lose events. Hints of new events only wake the reader, which also reads once a
second: a lost hint delays events but loses none.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from prometheus_client import Gauge

from gateway.api.errors import shutting_down
from ordinaut.store import event
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.event import LogEntry
from ordinaut.store.hints import EVENTS, Hints, wait_hint
from ordinaut.telemetry import get_logger

log = get_logger()
READ_SECONDS = 1.0
RECHECK_SECONDS = 1.5
ROWS_MAX = 512
BYTES_MAX = 8 * 1024 * 1024
BATCH = 200
WATCHERS = Gauge("ordinaut_gateway_event_watchers", "Streams that watch events")


class EventWatch:
    """The event watchers of this process; run `serve` as a task for the lifetime of the process."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._wake = hints.subscribe(EVENTS)
        self._rows: deque[LogEntry] = deque()
        self._bytes = 0
        self._complete_after = 0  # every row after this position is in memory
        self._last = 0
        self._watchers = 0
        self._changed = asyncio.Condition()
        self._shutting_down = False

    async def rows(
        self, project: str, after: int, token_recheck: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[LogEntry, None]:
        """Yields a project's rows of the log after a position, without end; awaits `token_recheck` before each batch.

        Raises:
            UnavailableError: the process is shutting down.
        """
        self._watchers += 1
        WATCHERS.inc()
        self._wake.set()
        try:
            while not self._shutting_down:
                await token_recheck()
                batch, position = await self._rows_after(project, after)
                for row in batch:
                    yield row
                if position == after:
                    await self._wait_for_rows(after)
                after = position
            raise shutting_down()
        finally:
            self._watchers -= 1
            WATCHERS.dec()

    async def stop(self) -> None:
        """Ends every stream, also those that are opened later."""
        self._shutting_down = True
        async with self._changed:
            self._changed.notify_all()

    async def serve(self) -> None:
        """Reads the log until cancelled; without watchers it reads and keeps nothing."""
        while True:
            await wait_hint(self._wake, READ_SECONDS)
            try:
                await self._read()
            except STORE_FAILURES as failure:
                log.warning("event_watch_interrupted", failure=str(failure))

    async def _read(self) -> None:
        if not self._watchers:
            self._clear()
            return
        async with self._database.connection() as connection:
            if not self._last:
                self._complete_after = self._last = await event.last_position(connection)
            while rows := await event.read(connection, project=None, after=self._last, batch=BATCH):
                self._store(rows)
        async with self._changed:
            self._changed.notify_all()

    def _store(self, rows: list[LogEntry]) -> None:
        for row in rows:
            self._rows.append(row)
            self._bytes += len(row.events)
            self._last = _end(row)
        while len(self._rows) > ROWS_MAX or self._bytes > BYTES_MAX:
            dropped = self._rows.popleft()
            self._bytes -= len(dropped.events)
            self._complete_after = _end(dropped)

    def _clear(self) -> None:
        self._rows.clear()
        self._bytes = self._complete_after = self._last = 0

    async def _rows_after(self, project: str, after: int) -> tuple[list[LogEntry], int]:
        """Returns rows after a position, and the position up to which they are complete."""
        if self._last and after >= self._complete_after:
            rows_in_memory = [row for row in self._rows if _end(row) > after and row.project == project]
            return rows_in_memory, max(after, self._last)
        async with self._database.connection() as connection:
            last = await event.last_position(connection)
            rows = await event.read(connection, project=project, after=after, batch=BATCH)
        position = _end(rows[-1]) if len(rows) == BATCH else max(last, *map(_end, rows), after)
        return rows, position

    async def _wait_for_rows(self, after: int) -> None:
        """Returns when the log has rows after a position, at the latest after RECHECK_SECONDS."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RECHECK_SECONDS), self._changed:
                await self._changed.wait_for(lambda: self._last > after or self._shutting_down)


def _end(row: LogEntry) -> int:
    """The last position in a row."""
    return row.position + row.count - 1
