"""What every trigger that fires by time promises."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from apscheduler.triggers.base import BaseTrigger

from ordinaut.clock import EPOCH, TICK

BEGINNING = EPOCH - timedelta(seconds=1)
"""No schedule has an instant at or before this one."""


@dataclass(frozen=True, slots=True, order=True)
class Firing:
    """One instant of a trigger.

    `nominal` names it within the triggers of its kind and does not move with zone data: the local time that the
    rule says, with `~2` on the second pass of a repeated hour, or a UTC time with a final `Z`.
    `adjusted`: a clock change moved it away from its nominal time.
    """

    time: datetime
    adjusted: bool
    nominal: str


class TimeTrigger(BaseTrigger, ABC):  # type: ignore[misc] # APScheduler ships no types
    """Yields instants; pure and immutable: the same question has the same answer in every process."""

    __slots__ = ()

    kind: ClassVar[str]

    @abstractmethod
    def after(self, instant: datetime) -> Firing | None:
        """The first firing strictly after the instant (aware), None when there is none up to the year 2200.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY, when it cannot be found within the step bound.
        """

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """APScheduler's question: the first time after the previous one, or from now on; aware, in UTC."""
        firing = self.after(previous_fire_time or now - TICK)
        return firing.time if firing else None


def stamp(moment: datetime) -> str:
    """A moment as iCalendar writes it: `20261025T003000`, with `Z` when it is aware (then UTC)."""
    if moment.tzinfo is None:
        return _compact(moment)
    return _compact(moment.astimezone(UTC)) + "Z"


def _compact(moment: datetime) -> str:
    """In a third of the time that strftime takes."""
    return moment.isoformat()[:19].replace("-", "").replace(":", "")
