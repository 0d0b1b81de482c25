"""The meanings of a phrase, and what their readers share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from scheduler.dialects.calendar import MONTHS, Calendar
from scheduler.dialects.phrases.clauses import Clauses
from scheduler.dialects.translation import Certainty, TimeText

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
HOUR = 3600
DAY = timedelta(days=1)
DAY_NAMES = ("month_days", "nearest", "weekdays", "months")


@dataclass(frozen=True, slots=True)
class Option:
    """One meaning; `id` and `label` distinguish it from the others."""

    id: str
    label: str
    when: Calendar | TimeText


@dataclass(frozen=True, slots=True)
class Meaning:
    """All meanings, and the question if there are several; for ASSUMED the first one is the most probable."""

    options: Sequence[Option]
    question: str = ""
    certainty: Certainty = Certainty.CERTAIN
    default: str = ""


def sole_meaning(when: Calendar | TimeText) -> Meaning:
    """A certain meaning."""
    return Meaning((Option("only", "", when),))


def days_of(clauses: Clauses) -> Calendar:
    """The days of the phrase."""
    return Calendar(
        month_days=clauses.month_days,
        weekdays=clauses.weekdays,
        months=clauses.months or MONTHS,
        nearest=clauses.nearest or (),
    )


def at_times(base: Calendar, times: Sequence[int]) -> Calendar:
    """The calendar with these times of day."""
    hours = tuple(sorted({at // HOUR for at in times}))
    minutes = tuple(sorted({at // 60 % 60 for at in times}))
    seconds = tuple(sorted({at % 60 for at in times}))
    is_grid = len(hours) * len(minutes) * len(seconds) == len(set(times))
    return replace(base, hours=hours, minutes=minutes, seconds=seconds, only=None if is_grid else tuple(times))


def clock_of(seconds: int) -> time:
    """The time of day."""
    return time(seconds // HOUR, seconds // 60 % 60, seconds % 60)


def once_on(day: date, seconds: int) -> TimeText:
    """A single local time."""
    return TimeText("once", instant_on(day, seconds).isoformat())


def instant_on(day: date, seconds: int) -> datetime:
    """The local time on a day."""
    return datetime.combine(day, clock_of(seconds))
