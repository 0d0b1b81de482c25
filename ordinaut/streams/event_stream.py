"""`ordinaut:events`: the event log as a Redis Stream, derived from PostgreSQL and rebuilt from it when needed.

An entry is one row of the log: id `<first position>-0`, fields `uid`, `project`, `count`, `time` (microseconds since
1970 UTC) and `events`, a JSON array. An element `{topic, subject, depth, data, part, runs}` represents one event for
each of its runs. External consumers may read the stream with their own consumer groups.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from ordinaut.settings import StreamSettings
from ordinaut.telemetry import get_logger

log = get_logger()
KEY = "ordinaut:events"
COMMAND_SECONDS = 5.0
APPEND = (Path(__file__).parent / "append.lua").read_text()
STREAM_FAILURES = (RedisError, OSError, TimeoutError, RuntimeError)
"""Redis is unreachable or fails. RuntimeError: uvloop refuses a write to a connection that was reset."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the log; `events` is a JSON array of `count` events, numbered from `position`."""

    uid: str
    project: str
    position: int
    count: int
    time_us: int
    events: bytes


class EventStream:
    """Writes the stream."""

    def __init__(self, settings: StreamSettings) -> None:
        self._max_length = settings.stream_max_length
        self._redis: Any = Redis.from_url(settings.redis_url, socket_timeout=COMMAND_SECONDS)
        self._append = self._redis.register_script(APPEND)

    async def close(self) -> None:
        """Closes the connection; one that was reset needs no closing."""
        with suppress(*STREAM_FAILURES):
            await self._redis.aclose()

    async def newest(self) -> int:
        """The position of the newest entry; 0 if the stream is empty.

        Call it before reading the counter of the log: rows are numbered before they are sent, so a stream that is
        ahead of a counter read later is not a copy of this log.
        """
        newest = await self._redis.xrevrange(KEY, count=1)
        return int(newest[0][0].partition(b"-")[0]) if newest else 0

    async def delete(self, why: str) -> None:
        """Deletes a stream that is not a copy of this log."""
        log.warning("stream_deleted", why=why)
        await self._redis.delete(KEY)

    async def append(self, entries: Sequence[Entry]) -> bool:
        """Appends rows in ascending order; rows that the stream already has or has trimmed are skipped.

        Returns:
            False if the stream contained an entry of another log and was deleted; the caller appends the rows again.
        """
        arguments: list[Any] = [self._max_length]
        for entry in entries:
            arguments += [entry.position, entry.uid, entry.project, entry.count, entry.time_us, entry.events]
        answer = await self._append(keys=[KEY], args=arguments)
        if answer in (b"FOREIGN", "FOREIGN"):
            await self.delete("it contains an entry of another log")
            return False
        return True
