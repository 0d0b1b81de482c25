"""The days that the BY parts of a rule select in a year, a month or a week, or accept one by one.

BYWEEKNO without BYDAY means the weekday of DTSTART, and a year's set holds the days of that calendar year.
Source: RFC 5545 §3.3.10, table of BYxxx parts; RFC 7529 §4 for SKIP.
"""

from calendar import isleap, monthrange
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta

from scheduler.triggers.rrule.parse import Frequency, Rule, Skip, Weekday

ALL_MONTHS = tuple(range(1, 13))
_WEEK = timedelta(days=7)


def completed(rule: Rule, start: date) -> Rule:
    """The rule with missing days taken from DTSTART."""
    if rule.weekdays or rule.month_days or rule.year_days:
        return rule
    weekday = (Weekday(0, start.weekday()),)
    match rule.frequency:
        case Frequency.WEEKLY:
            return replace(rule, weekdays=weekday)
        case Frequency.MONTHLY:
            return replace(rule, month_days=(start.day,))
        case Frequency.YEARLY if rule.weeks:
            return replace(rule, weekdays=weekday)
        case Frequency.YEARLY:
            return replace(rule, months=rule.months or (start.month,), month_days=(start.day,))
    return rule


class DaySets:
    """The days of a completed rule."""

    __slots__ = ("_plain_weekdays", "_rule", "months")

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self.months = rule.months or ALL_MONTHS
        self._plain_weekdays = frozenset(day.number for day in rule.weekdays if not day.nth)

    def accepts(self, day: date) -> bool:
        """Whether the BY parts accept the day (FREQ=DAILY and shorter, where BYDAY is without ordinals)."""
        rule = self._rule
        if rule.months and day.month not in rule.months:
            return False
        if rule.weekdays and day.weekday() not in self._plain_weekdays:
            return False
        if rule.month_days and not _in_month(day, rule.month_days):
            return False
        return not rule.year_days or _in_year(day, rule.year_days)

    def of_week(self, first: date) -> tuple[date, ...]:
        """The days of the week that begins on that day."""
        days = (first + timedelta(days=days) for days in range(7))
        return tuple(day for day in days if day.month in self.months and day.weekday() in self._plain_weekdays)

    def of_month(self, year: int, month: int) -> tuple[date, ...]:
        """The days of the month."""
        if month not in self.months:
            return ()
        length = monthrange(year, month)[1]
        days = self._weekdays_between(date(year, month, 1), date(year, month, length))
        if not self._rule.month_days:
            return tuple(sorted(days))
        listed = set(self._listed_days(year, month))
        return tuple(sorted(self._on_weekdays(listed, set(days)) if self._rule.weekdays else listed))

    def of_year(self, year: int) -> tuple[date, ...]:
        """The days of the calendar year."""
        rule = self._rule
        days = set.intersection(*(set(days(year)) for days in self._yearly_sets()))
        if not rule.moves_days:
            return tuple(sorted(day for day in days if day.month in self.months))
        return tuple(sorted(self._on_weekdays(days, set(self._year_weekdays(year))) if rule.weekdays else days))

    def _on_weekdays(self, days: set[date], numbered: set[date]) -> set[date]:
        """The days on the rule's weekdays. RFC 7529 §4.1: BYDAY applies to a moved day, also in the next month."""
        return {day for day in days if day in numbered or day.weekday() in self._plain_weekdays}

    def _yearly_sets(self) -> Iterator[Callable[[int], Iterator[date]]]:
        """The sets that are intersected to the year's days; a completed rule has at least one."""
        rule = self._rule
        if rule.year_days:
            yield self._year_days
        if rule.month_days:
            yield self._month_days
        if rule.weekdays and not rule.moves_days:
            yield self._year_weekdays
        if rule.weeks:
            yield self._weeks

    def _year_days(self, year: int) -> Iterator[date]:
        length = 366 if isleap(year) else 365
        for number in self._rule.year_days:
            if abs(number) <= length:
                yield date(year, 1, 1) + timedelta(days=number - 1 if number > 0 else length + number)

    def _month_days(self, year: int) -> Iterator[date]:
        for month in self.months:
            yield from self._listed_days(year, month)

    def _listed_days(self, year: int, month: int) -> Iterator[date]:
        """The days of BYMONTHDAY in the month, and in place of those that it does not have what SKIP says."""
        length = monthrange(year, month)[1]
        first = date(year, month, 1)
        for number in self._rule.month_days:
            place = number if number > 0 else length + number + 1
            if 1 <= place <= length:
                yield date(year, month, place)
            elif self._rule.skip is not Skip.OMIT:
                after = first + timedelta(days=length) if place > length else first
                yield after if self._rule.skip is Skip.FORWARD else after - timedelta(days=1)

    def _year_weekdays(self, year: int) -> Iterator[date]:
        """Ordinals count inside each BYMONTH month, or inside the year without BYMONTH."""
        if not self._rule.months:
            yield from self._weekdays_between(date(year, 1, 1), date(year, 12, 31))
            return
        for month in self.months:
            last = date(year, month, monthrange(year, month)[1])
            yield from self._weekdays_between(date(year, month, 1), last)

    def _weekdays_between(self, first: date, last: date) -> Iterator[date]:
        for weekday in self._rule.weekdays:
            opening = first + timedelta(days=(weekday.number - first.weekday()) % 7)
            number = (last - opening).days // 7 + 1
            if weekday.nth == 0:
                yield from (opening + place * _WEEK for place in range(number))
            elif abs(weekday.nth) <= number:
                yield opening + _WEEK * (weekday.nth - 1 if weekday.nth > 0 else number + weekday.nth)

    def _weeks(self, year: int) -> Iterator[date]:
        """The days of this calendar year in the listed weeks, which may belong to a neighbouring year."""
        for week_year in (year - 1, year, year + 1):
            first = _first_week(week_year, self._rule.week_start)
            number = (_first_week(week_year + 1, self._rule.week_start) - first).days // 7
            for week in self._rule.weeks:
                if abs(week) <= number:
                    opening = first + _WEEK * (week - 1 if week > 0 else number + week)
                    days = (opening + timedelta(days=days) for days in range(7))
                    yield from (day for day in days if day.year == year)


def _first_week(year: int, week_start: int) -> date:
    """The first day of week 1: the first week with at least four days in the year."""
    fourth = date(year, 1, 4)
    return fourth - timedelta(days=(fourth.weekday() - week_start) % 7)


def _in_month(day: date, numbers: tuple[int, ...]) -> bool:
    return day.day in numbers or day.day - monthrange(day.year, day.month)[1] - 1 in numbers


def _in_year(day: date, numbers: tuple[int, ...]) -> bool:
    number = day.timetuple().tm_yday
    return number in numbers or number - (367 if isleap(day.year) else 366) in numbers
