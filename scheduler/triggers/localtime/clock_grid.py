"""The times of day that a rule names: hours x minutes x seconds, never materialised."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date, datetime, time

ALL_HOURS = tuple(range(24))
ALL_SIXTY = tuple(range(60))


@dataclass(frozen=True, slots=True)
class ClockGrid:
    """All times whose hour, minute and second are in these sorted, non-empty tuples."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def __contains__(self, moment: time) -> bool:
        return moment.hour in self.hours and moment.minute in self.minutes and moment.second in self.seconds

    def at(self, index: int) -> time:
        """The time at that place in ascending order."""
        index, second = divmod(index, len(self.seconds))
        hour, minute = divmod(index, len(self.minutes))
        return time(self.hours[hour], self.minutes[minute], self.seconds[second])

    def rank(self, moment: time) -> int:
        """How many times of the grid are not later than the moment."""
        hour = bisect_left(self.hours, moment.hour)
        rank = hour * len(self.minutes) * len(self.seconds)
        if hour == len(self.hours) or self.hours[hour] != moment.hour:
            return rank
        minute = bisect_left(self.minutes, moment.minute)
        rank += minute * len(self.seconds)
        if minute == len(self.minutes) or self.minutes[minute] != moment.minute:
            return rank
        return rank + bisect_right(self.seconds, moment.second)

    def following(self, moment: time, *, inclusive: bool) -> time | None:
        """The first time after the moment (or at it, if inclusive) on the same day."""
        rank = self.rank(moment)
        if inclusive and moment in self:
            return moment.replace(microsecond=0)
        return self.at(rank) if rank < len(self) else None


@dataclass(frozen=True, slots=True)
class Members:
    """The local times of some sorted days on a grid, as a sorted sequence that is never materialised."""

    days: tuple[date, ...]
    grid: ClockGrid

    def __len__(self) -> int:
        return len(self.days) * len(self.grid)

    def at(self, index: int) -> datetime:
        """The local time at that place in ascending order."""
        day, moment = divmod(index, len(self.grid))
        return datetime.combine(self.days[day], self.grid.at(moment))

    def rank(self, local: datetime) -> int:
        """How many members are not later than the local time."""
        place = bisect_left(self.days, local.date())
        rank = place * len(self.grid)
        if place < len(self.days) and self.days[place] == local.date():
            rank += self.grid.rank(local.time())
        return rank
