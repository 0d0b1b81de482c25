"""Watching events: one reader of the log for all watchers of this process.

It keeps the newest rows. A watcher has nothing but a position: one that keeps up takes rows from here, one that is
new or slow reads the log itself until it has caught up. So nobody's slowness costs memory or another's time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from prometheus_client import Gauge

from gateway.api.calls import stopping
from ordinaut.store import event
from ordinaut.store.database import STORE_FAILURES, Database
from ordinaut.store.event import LogEntry
from ordinaut.store.hints import EVENTS, Hints, wait_hint
from ordinaut.telemetry import get_logger

log = get_logger()
LOOK_SECONDS = 1.0
VIGIL_SECONDS = 10.0
KEPT_ROWS = 512
KEPT_BYTES = 8 * 1024 * 1024
BATCH = 200
WATCHERS = Gauge("ordinaut_gateway_event_watchers", "Streams that watch events")


class EventWatch:
    """The process's hub of the event log; run `serve` as a task for as long as the process lives."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._wake = hints.subscribe(EVENTS)
        self._rows: deque[LogEntry] = deque()
        self._bytes = 0
        self._complete_after = 0  # the kept rows are all that there are beyond this position
        self._last = 0
        self._watchers = 0
        self._news = asyncio.Condition()
        self._stopping = False

    async def rows(
        self, project: str, after: int, vigil: Callable[[], Awaitable[None]]
    ) -> AsyncGenerator[LogEntry, None]:
        """A project's rows of the log beyond `after`, for ever; `vigil` is awaited before each batch.

        Raises:
            UnavailableError: the process stops.
        """
        self._watchers += 1
        WATCHERS.inc()
        self._wake.set()
        try:
            while not self._stopping:
                await vigil()
                batch, position = await self._beyond(project, after)
                for row in batch:
                    yield row
                if position == after:
                    await self._moved_beyond(after)
                after = position
            raise stopping()
        finally:
            self._watchers -= 1
            WATCHERS.dec()

    async def stop(self) -> None:
        """Ends every stream, and those that come now."""
        self._stopping = True
        async with self._news:
            self._news.notify_all()

    async def serve(self) -> None:
        """Reads the log until cancelled; without watchers it keeps nothing."""
        while True:
            await wait_hint(self._wake, LOOK_SECONDS)
            try:
                await self._look()
            except STORE_FAILURES as failure:
                log.warning("event_watch_interrupted", failure=str(failure))

    async def _look(self) -> None:
        if not self._watchers:
            self._forget_all()
            return
        async with self._database.connection() as connection:
            if not self._last:
                self._complete_after = self._last = await event.last_position(connection)
            while rows := await event.read(connection, project=None, after=self._last, batch=BATCH):
                self._keep(rows)
        async with self._news:
            self._news.notify_all()

    def _keep(self, rows: list[LogEntry]) -> None:
        for row in rows:
            self._rows.append(row)
            self._bytes += len(row.events)
            self._last = _end(row)
        while len(self._rows) > KEPT_ROWS or self._bytes > KEPT_BYTES:
            dropped = self._rows.popleft()
            self._bytes -= len(dropped.events)
            self._complete_after = _end(dropped)

    def _forget_all(self) -> None:
        self._rows.clear()
        self._bytes = self._complete_after = self._last = 0

    async def _beyond(self, project: str, after: int) -> tuple[list[LogEntry], int]:
        """Rows beyond a position, and up to where they are all that there are."""
        if self._last and after >= self._complete_after:
            kept = [row for row in self._rows if _end(row) > after and row.project == project]
            return kept, max(after, self._last)
        async with self._database.connection() as connection:
            last = await event.last_position(connection)
            rows = await event.read(connection, project=project, after=after, batch=BATCH)
        position = _end(rows[-1]) if len(rows) == BATCH else max(last, *map(_end, rows), after)
        return rows, position

    async def _moved_beyond(self, after: int) -> None:
        """Returns when the log has gone on, or after a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(VIGIL_SECONDS), self._news:
                await self._news.wait_for(lambda: self._last > after or self._stopping)


def _end(row: LogEntry) -> int:
    """The last position in a row."""
    return row.position + row.count - 1
