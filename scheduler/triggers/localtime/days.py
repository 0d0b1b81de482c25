"""Searches the next day that a rule accepts, up to the last year that Ordinaut plans for."""

from collections.abc import Callable, Container
from datetime import date, timedelta

from ordinaut.limits import LAST_YEAR

LAST_DAY = date(LAST_YEAR, 12, 31)


def next_day(accepts: Callable[[date], bool], months: Container[int], start: date, stride: int = 1) -> date | None:
    """The first accepted day among start, start + stride, … up to the end of year 2200; None if no day is accepted.

    Months that are not in `months` are skipped at once, so that `29 February on a Monday` costs only the Februaries.
    """
    day = start
    while day.year <= LAST_YEAR:
        if day.month not in months:
            day = _aligned(_next_month(day), day, stride)
        elif accepts(day):
            return day
        else:
            day += timedelta(days=stride)
    return None


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def _aligned(target: date, origin: date, stride: int) -> date:
    """The first day from the target on that is a whole number of strides after the origin."""
    return target + timedelta(days=(origin - target).days % stride)
