"""What people have decided about coming occurrences: those they skipped, and the one they postponed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ordinaut.clock import TICK
from ordinaut.names import occurrence_id
from ordinaut.store import cursor, database_clock, occurrence
from ordinaut.store.sql import Connection
from ordinaut.v1.schedule_pb2 import Upcoming


@dataclass(frozen=True, slots=True)
class Decided:
    """Ids of skipped occurrences, and what was snoozed: its instant and when it starts."""

    now: datetime
    skipped: frozenset[str]
    snoozed: tuple[datetime, datetime] | None

    @property
    def since(self) -> datetime:
        """After which instant coming occurrences are to be looked for: what was snoozed may have been due already."""
        return self.snoozed[0] - TICK if self.snoozed and self.snoozed[0] <= self.now else self.now

    def shown(self, planned: Iterable[Upcoming], count: int) -> list[Upcoming]:
        """At most `count` of the planned occurrences as they will come."""
        coming = [found for found in planned if found.id not in self.skipped]
        if self.snoozed:
            snoozed_id, start = occurrence_id("", self.snoozed[0]), f"{self.snoozed[1]:%Y-%m-%dT%H:%M:%SZ}"
            for found in coming:
                if found.id == snoozed_id:
                    found.fire_time.FromDatetime(self.snoozed[1])
                    found.note = "; ".join(filter(None, (found.note, f"snoozed until {start}")))
        return coming[:count]


async def decided(connection: Connection, task: UUID) -> Decided:
    """What was decided about the coming occurrences of a task."""
    skipped = await occurrence.skipped_ahead(connection, task)
    following = await cursor.upcoming(connection, task)
    snoozed = None
    if following and following.snoozed and following.next_instant and following.next_fire_time:
        snoozed = (following.next_instant, following.next_fire_time)
    now = following.now if following else await database_clock.database_now(connection)
    return Decided(now, frozenset(occurrence_id("", instant) for instant in skipped), snoozed)
