"""The days and times of day that an expression names, independent of its dialect."""

from dataclasses import dataclass
from datetime import date

from scheduler.triggers.rrule.parse import Weekday

SECONDS = MINUTES = tuple(range(60))
HOURS = tuple(range(24))
MONTHS = tuple(range(1, 13))
MONTH_DAYS = tuple(range(1, 32))
WORKDAYS = tuple(Weekday(0, number) for number in range(5))
WEEKEND = (Weekday(0, 5), Weekday(0, 6))
EVERY_WEEKDAY = (*WORKDAYS, *WEEKEND)


@dataclass(frozen=True, slots=True)
class Calendar:
    """Sorted values of each field; None: not restricted.

    Args:
        month_days: from 1, or from -1 backwards.
        weekdays: Monday is 0; with `nth` the nth of the month, negative from its end.
        nearest: days of the month that move to the nearest weekday (Monday to Friday) of the same month; -1: the last.
        either: a day fits if month_days or weekdays fit; else both must.
        years: all in one row.
        only: the times of day, in seconds since midnight, if not all combinations of the three fields are.
        unit, step: every `step` days, weeks, months or years (DAILY … YEARLY) from `start` on.
    """

    minutes: tuple[int, ...] = (0,)
    hours: tuple[int, ...] = (0,)
    seconds: tuple[int, ...] = (0,)
    month_days: tuple[int, ...] | None = None
    weekdays: tuple[Weekday, ...] | None = None
    months: tuple[int, ...] = MONTHS
    nearest: tuple[int, ...] = ()
    either: bool = False
    years: tuple[int, ...] | None = None
    only: tuple[int, ...] | None = None
    unit: str = ""
    step: int = 1
    start: date | None = None
