"""Rules by the day or longer (FREQ=YEARLY to DAILY), expanded on naive local time.

Periods are computed by arithmetic from DTSTART, so that the cost of a search does not grow with the age of the rule. No
period after the year 2200 is searched, so that a rule without any day ends.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from ordinaut.clock import TICK
from scheduler.triggers.localtime.clock_grid import ClockGrid, Members
from scheduler.triggers.localtime.days import LAST_DAY, next_day
from scheduler.triggers.problem import too_costly
from scheduler.triggers.rrule.day_sets import DaySets, completed
from scheduler.triggers.rrule.parse import Frequency, Rule, Skip

MAX_PERIODS = 2_200
"""The maximum number of periods that are searched to count a COUNT."""


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The members that BYSETPOS selects."""

    times: Sequence[datetime]

    def __len__(self) -> int:
        return len(self.times)

    def at(self, index: int) -> datetime:
        return self.times[index]

    def rank(self, local: datetime) -> int:
        return bisect_right(self.times, local)


class CalendarRule:
    """The nominal local times of a rule from its start on."""

    __slots__ = ("_first_index", "_grid", "_rule", "_sets", "_start")

    def __init__(self, rule: Rule, start: datetime) -> None:
        self._rule = completed(rule, start.date())
        self._start = start
        self._sets = DaySets(self._rule)
        self._grid = ClockGrid(
            rule.hours or (start.hour,), rule.minutes or (start.minute,), rule.seconds or (start.second,)
        )
        self._first_index = self._index(start.date())

    def next(self, local: datetime) -> datetime | None:
        """The first nominal time after the local time, or None up to the year 2200."""
        since = max(local, self._start - TICK)
        for members in self._periods(since.date()):
            rank = members.rank(since)
            if rank < len(members):
                return members.at(rank)
        return None

    def nth(self, count: int) -> datetime:
        """The count-th nominal time (the first is 1), or the last one before the end of the year 2200.

        Raises:
            ScheduleError: SCHEDULE_TOO_COSTLY.
        """
        last = self._start - TICK
        if self._is_every_day():
            return self._nth_of_every_day(count)
        for visited, members in enumerate(self._periods(self._start.date())):
            if visited == MAX_PERIODS:
                raise too_costly(f"COUNT extends over more than {MAX_PERIODS} periods; use UNTIL")
            skipped = members.rank(last)  # a day that SKIP moved may be in two periods
            here = len(members) - skipped
            if here >= count:
                return members.at(skipped + count - 1)
            if here:
                last = members.at(len(members) - 1)
            count -= here
        return last

    def _is_every_day(self) -> bool:
        rule = self._rule
        limits = (rule.months, rule.month_days, rule.weekdays, rule.positions)
        return rule.frequency == Frequency.DAILY and not any(limits)

    def _nth_of_every_day(self, count: int) -> datetime:
        """Computes it by arithmetic: each day has the whole grid, the first day the part of it after the start."""
        skipped = Members((self._start.date(),), self._grid).rank(self._start - TICK)
        days, place = divmod(skipped + count - 1, len(self._grid))
        ordinal = self._first_index + days * self._rule.interval
        return datetime.combine(date.fromordinal(min(ordinal, LAST_DAY.toordinal())), self._grid.at(place))

    def _periods(self, since: date) -> Iterator[Members | _Chosen]:
        """The members of each period of the rule, from the period that contains the day on."""
        if self._is_without_position():
            return
        moved = self._rule.skip is Skip.FORWARD  # the first day of a period may belong to the one before
        index = self._aligned(max(self._index(since) - moved, self._first_index))
        final = self._index(LAST_DAY)
        while index <= final:
            days = self._days(index)
            if days:
                yield self._choose(Members(days, self._grid))
                index += self._rule.interval
            else:
                index = self._after_empty(index, final)

    def _is_without_position(self) -> bool:
        """Whether BYSETPOS names only places that no day or week has; longer periods are few enough to be searched."""
        if not self._rule.positions or self._rule.frequency < Frequency.WEEKLY:
            return False
        is_weekly = self._rule.frequency == Frequency.WEEKLY
        days = len({day.number for day in self._rule.weekdays}) if is_weekly else 1
        return all(abs(place) > days * len(self._grid) for place in self._rule.positions)

    def _after_empty(self, index: int, final: int) -> int:
        """The period to search after one without days: a daily rule continues at the next accepted day."""
        if self._rule.frequency != Frequency.DAILY:
            return index + self._rule.interval
        if self._rule.interval > final - index:
            return final + 1
        day = date.fromordinal(index + self._rule.interval)
        following = next_day(self._sets.accepts, self._sets.months, day, self._rule.interval)
        return following.toordinal() if following else final + 1

    def _aligned(self, index: int) -> int:
        return index + (self._first_index - index) % self._rule.interval

    def _index(self, day: date) -> int:
        """The number of the period that contains the day."""
        match self._rule.frequency:
            case Frequency.YEARLY:
                return day.year
            case Frequency.MONTHLY:
                return day.year * 12 + day.month - 1
            case Frequency.WEEKLY:
                return (day.toordinal() - 1 - self._rule.week_start) // 7
        return day.toordinal()

    def _days(self, index: int) -> tuple[date, ...]:
        match self._rule.frequency:
            case Frequency.YEARLY:
                return self._sets.of_year(index)
            case Frequency.MONTHLY:
                return self._sets.of_month(index // 12, index % 12 + 1)
            case Frequency.WEEKLY:
                return self._sets.of_week(date.fromordinal(index * 7 + 1 + self._rule.week_start))
        day = date.fromordinal(index)
        return (day,) if self._sets.accepts(day) else ()

    def _choose(self, members: Members) -> Members | _Chosen:
        if not self._rule.positions:
            return members
        number = len(members)
        places = {place - 1 if place > 0 else number + place for place in self._rule.positions}
        return _Chosen([members.at(place) for place in sorted(places) if 0 <= place < number])
