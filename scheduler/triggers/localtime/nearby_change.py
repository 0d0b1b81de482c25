"""The clock change that skips or repeats the local times around an instant."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from scheduler.triggers.localtime.zone import local_time

_SECOND = timedelta(seconds=1)
_LONGEST = timedelta(hours=25)  # a region that moves across the date line skips or repeats a day


@dataclass(frozen=True, slots=True)
class NearbyChange:
    """Clocks change at `time` (UTC) from the local time `before` to `after`."""

    time: datetime
    before: datetime
    after: datetime

    @property
    def skips(self) -> bool:
        """Whether local times are skipped; otherwise they are repeated."""
        return self.after > self.before


def change_around(time: datetime, where: ZoneInfo) -> NearbyChange | None:
    """The change that skips the local time which clocks would show at `time` without it, or repeats the one they show.

    It is less than its own length away from `time`.

    >>> found = change_around(datetime.fromisoformat("2026-03-08T02:30-05:00"), ZoneInfo("America/New_York"))
    >>> found.before.isoformat(), found.after.isoformat()
    ('2026-03-08T02:00:00', '2026-03-08T03:00:00')
    """
    low, high = time - _LONGEST, time + _LONGEST
    old, new = _offset(low, where), _offset(high, where)
    if old == new:
        return None
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        low, high = (middle, high) if _offset(middle, where) == old else (low, middle)
    change = high.replace(microsecond=0)
    if abs(time - change) >= abs(new - old):
        return None
    naive = change.replace(tzinfo=None)
    return NearbyChange(change, naive + old, naive + new)


def _offset(instant: datetime, where: ZoneInfo) -> timedelta:
    return local_time(instant, where).replace(fold=0) - instant.replace(tzinfo=None)
