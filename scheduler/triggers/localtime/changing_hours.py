"""The hours of the day in which a zone's clocks skip or repeat times."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

_FIRST, _LAST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)  # later years repeat earlier ones
_STEP = timedelta(days=14)  # shorter than the time between two changes
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


@lru_cache(maxsize=1024)
def changing_hours(where: ZoneInfo) -> frozenset[int]:
    """The local hours that are skipped or repeated on some day; it takes some milliseconds and is then cached.

    >>> sorted(changing_hours(ZoneInfo("America/New_York")))
    [1, 2]
    """
    return frozenset(hour for before, after in _changes(where) for hour in _between(before, after))


def _changes(where: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The local times that clocks show at a change by the offset before and after it."""
    instant, before = _FIRST, _offset(_FIRST, where)
    while instant < _LAST:
        after = _offset(instant + _STEP, where)
        if before != after:
            change = _change(instant, before, where).replace(tzinfo=None)
            yield change + before, change + after
        instant, before = instant + _STEP, after


def _change(instant: datetime, before: timedelta, where: ZoneInfo) -> datetime:
    """The first instant of another offset, which is at most a step after the given one."""
    low, high = instant, instant + _STEP
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        low, high = (middle, high) if _offset(middle, where) == before else (low, middle)
    return high


def _between(before: datetime, after: datetime) -> Iterator[int]:
    """The hours between two local times, of a day that is skipped all."""
    first, end = min(before, after), max(before, after)
    hour = first.replace(minute=0, second=0)
    while hour < end:
        yield hour.hour
        hour += _HOUR


def _offset(instant: datetime, where: ZoneInfo) -> timedelta:
    return instant.astimezone(where).utcoffset() or timedelta()
