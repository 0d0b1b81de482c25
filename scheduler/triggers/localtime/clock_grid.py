"""The times of day of a rule: hours x minutes x seconds, never materialised."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, datetime, time

ALL_HOURS = tuple(range(24))
ALL_SIXTY = tuple(range(60))


@dataclass(frozen=True, slots=True)
class ClockGrid:
    """All times with hour, minute and second in these sorted, non-empty tuples."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def __contains__(self, clock_time: time) -> bool:
        return clock_time.hour in self.hours and clock_time.minute in self.minutes and clock_time.second in self.seconds

    def at(self, index: int) -> time:
        """The time with that index in ascending order."""
        index, second = divmod(index, len(self.seconds))
        hour, minute = divmod(index, len(self.minutes))
        return time(self.hours[hour], self.minutes[minute], self.seconds[second])

    def rank(self, clock_time: time) -> int:
        """The number of times in the grid that are not later."""
        hour = bisect_left(self.hours, clock_time.hour)
        rank = hour * len(self.minutes) * len(self.seconds)
        if hour == len(self.hours) or self.hours[hour] != clock_time.hour:
            return rank
        minute = bisect_left(self.minutes, clock_time.minute)
        rank += minute * len(self.seconds)
        if minute == len(self.minutes) or self.minutes[minute] != clock_time.minute:
            return rank
        return rank + bisect_right(self.seconds, clock_time.second)

    def following(self, clock_time: time, *, inclusive: bool) -> time | None:
        """The first time after the given one (or equal to it, if inclusive) on the same day."""
        rank = self.rank(clock_time)
        if inclusive and clock_time in self:
            return clock_time.replace(microsecond=0)
        return self.at(rank) if rank < len(self) else None


@dataclass(frozen=True, slots=True)
class Members:
    """The local times of some sorted days on a grid, as a sorted sequence that is never materialised."""

    days: tuple[date, ...]
    grid: ClockGrid

    def __len__(self) -> int:
        return len(self.days) * len(self.grid)

    def at(self, index: int) -> datetime:
        """The local time with that index in ascending order."""
        day, place = divmod(index, len(self.grid))
        return datetime.combine(self.days[day], self.grid.at(place))

    def rank(self, local: datetime) -> int:
        """The number of members that are not later than the local time."""
        place = bisect_left(self.days, local.date())
        rank = place * len(self.grid)
        if place < len(self.days) and self.days[place] == local.date():
            rank += self.grid.rank(local.time())
        return rank
