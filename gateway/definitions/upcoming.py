"""Applies skips and a snooze to the planned occurrences of a task."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ordinaut.clock import TICK
from ordinaut.names import occurrence_id
from ordinaut.store import database_clock
from ordinaut.store.sql import Connection
from ordinaut.store.tasks import cursor, occurrence
from ordinaut.v1.schedule_pb2 import Upcoming


@dataclass(frozen=True, slots=True)
class SkippedAndSnoozed:
    """Ids of skipped future occurrences, and the instant and start time of the snoozed one."""

    now: datetime
    skipped: frozenset[str]
    snoozed: tuple[datetime, datetime] | None

    @property
    def since(self) -> datetime:
        """The instant after which planned occurrences are listed; a snoozed instant may be in the past."""
        return self.snoozed[0] - TICK if self.snoozed and self.snoozed[0] <= self.now else self.now

    def apply(self, planned: Iterable[Upcoming], count: int) -> list[Upcoming]:
        """Returns at most `count` of the planned occurrences, without skipped ones and with the snoozed start time."""
        upcoming = [occurrence for occurrence in planned if occurrence.id not in self.skipped]
        if self.snoozed:
            snoozed_id, start = occurrence_id("", self.snoozed[0]), f"{self.snoozed[1]:%Y-%m-%dT%H:%M:%SZ}"
            for occurrence in upcoming:
                if occurrence.id == snoozed_id:
                    occurrence.fire_time.FromDatetime(self.snoozed[1])
                    occurrence.note = "; ".join(filter(None, (occurrence.note, f"snoozed until {start}")))
        return upcoming[:count]


async def skipped_and_snoozed(connection: Connection, task: UUID) -> SkippedAndSnoozed:
    """Reads the skips and the snooze of a task."""
    skipped = await occurrence.skipped_ahead(connection, task)
    following = await cursor.upcoming(connection, task)
    snoozed = None
    if following and following.snoozed and following.next_instant and following.next_fire_time:
        snoozed = (following.next_instant, following.next_fire_time)
    now = following.now if following else await database_clock.database_now(connection)
    return SkippedAndSnoozed(now, frozenset(occurrence_id("", instant) for instant in skipped), snoozed)
