"""Phrases that name one time, or may name one time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from scheduler.dialects.calendar import WORKDAYS, Calendar
from scheduler.dialects.phrases.clauses import Clauses
from scheduler.dialects.phrases.options import (
    DAY,
    HOUR,
    SECONDS,
    Meaning,
    Option,
    at_times,
    clock_of,
    days_of,
    instant_on,
    once_on,
    sole_meaning,
)
from scheduler.dialects.translation import Certainty, InexpressibleError, TimeText
from scheduler.triggers.rrule.parse import Weekday

USUAL_HOURS = (0, 8, 9, 12, 18)


def after_span(clauses: Clauses, now: datetime) -> Meaning | None:
    """A time such as `in 2 hours`; None for months and years, which have no fixed length."""
    number, unit = clauses.after or (0, "")
    if not clauses.only("after") or unit not in SECONDS:
        return None
    seconds = number * SECONDS[unit]
    at = (now.astimezone(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
    once = Option("once", "once", TimeText("once", f"{at:%Y-%m-%dT%H:%M:%S}Z"))
    repeated = Option("every", "again and again", TimeText("interval", f"{seconds}s"))
    return Meaning((once, repeated), "Does it run once, or repeatedly?", Certainty.ASSUMED, "once")


def single_day(clauses: Clauses, local: datetime | None) -> Meaning | None:
    """A day such as `tomorrow`, `next Friday` or `2026-07-01`, with its time or without one.

    Raises:
        InexpressibleError: it has several times, or a relative day has no zone.
    """
    if not clauses.only("days_ahead", "next_weekday", "day", "times"):
        return None
    if clauses.times is not None and len(clauses.times) != 1:
        raise InexpressibleError("a single day needs one time, such as tomorrow at 9:00")
    day = clauses.day or _relative_day(clauses, local)
    if clauses.times is None:
        options = [Option(f"at-{hour:02}00", f"at {hour:02}:00", once_on(day, hour * HOUR)) for hour in USUAL_HOURS]
        return Meaning(options, "At which time of day?", Certainty.ASK)
    [at] = clauses.times
    if clauses.day is not None:
        return sole_meaning(once_on(day, at))
    if clauses.next_weekday is None:
        repeated = Option("daily", "every day", at_times(Calendar(), (at,)))
    else:
        weekly = Calendar(weekdays=(Weekday(0, clauses.next_weekday),))
        repeated = Option("weekly", "every week", at_times(weekly, (at,)))
    options = [Option("once", "once", once_on(day, at)), repeated]
    return Meaning(options, "Does it run once, or repeatedly?", Certainty.ASSUMED, "once")


def _relative_day(clauses: Clauses, local: datetime | None) -> date:
    if local is None:
        raise InexpressibleError("a day relative to today needs the schedule's time_zone, such as Europe/Chisinau")
    if clauses.next_weekday is None:
        return local.date() + (clauses.days_ahead or 0) * DAY
    return local.date() + ((clauses.next_weekday - local.weekday() - 1) % 7 + 1) * DAY


def without_day(times: Sequence[int], local: datetime | None) -> Meaning:
    """A time of day such as `9am` without a day."""
    at = at_times(Calendar(), times)
    options = [
        Option("daily", "every day", at),
        Option("workdays", "from Monday to Friday", replace(at, weekdays=WORKDAYS)),
    ]
    if local is not None and len(times) == 1:
        at_once = datetime.combine(local.date(), clock_of(times[0]))
        at_once += DAY if at_once <= local else timedelta()
        options.append(Option("once", "once", TimeText("once", at_once.isoformat())))
    return Meaning(options, "On which days?", Certainty.ASK, "daily")


def one_or_many(clauses: Clauses, local: datetime | None) -> Meaning | None:
    """The phrase `on December 24 at 18:00` may name one time, or one of every year."""
    times = clauses.times or ()
    each = at_times(days_of(clauses), times)
    if local is None or len(times) != 1:
        return sole_meaning(each)
    day = next((day for day in _days_from(local) if _is_in(each, day) and instant_on(day, times[0]) > local), None)
    if day is None:
        return sole_meaning(each)
    once = Option("once", "once", once_on(day, times[0]))
    return Meaning((once, Option("every", "every time", each)), "Does it run once, or repeatedly?", Certainty.ASK)


def _days_from(local: datetime) -> list[date]:
    return [local.date() + number * DAY for number in range(4 * 366 + 1)]


def _is_in(calendar: Calendar, day: date) -> bool:
    by_weekday = calendar.weekdays is None or Weekday(0, day.weekday()) in calendar.weekdays
    by_day = calendar.month_days is None or day.day in calendar.month_days
    return day.month in calendar.months and by_day and by_weekday
