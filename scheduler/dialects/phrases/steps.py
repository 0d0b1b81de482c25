"""Phrases with several times a day: steps, windows, minutes of the hour."""

from dataclasses import replace
from datetime import datetime

from scheduler.dialects.calendar import HOURS, Calendar
from scheduler.dialects.phrases.clauses import Clauses
from scheduler.dialects.phrases.options import (
    DAY_NAMES,
    HOUR,
    SECONDS,
    Meaning,
    Option,
    at_times,
    clock_of,
    days_of,
    sole_meaning,
)
from scheduler.dialects.translation import Certainty, InexpressibleError, TimeText


def times_per(clauses: Clauses) -> Meaning | None:
    """A number of times a day or an hour, such as `twice a day`.

    Raises:
        InexpressibleError: they are not evenly spaced.
    """
    number, unit = clauses.times_per or (0, "")
    if not clauses.only("times_per", *DAY_NAMES) or unit not in ("hour", "day"):
        return None
    size = 60 if unit == "hour" else 24
    if size % number:
        raise InexpressibleError(f"{number} times a{'n' if unit == 'hour' else ''} {unit} are not evenly spaced")
    step, base = size // number, days_of(clauses)
    if unit == "hour":
        return sole_meaning(replace(base, minutes=tuple(range(0, 60, step)), hours=HOURS))
    starts = sorted({0, *(hour for hour in (6, 8, 9) if hour < step)})
    options = [
        Option(f"from-{start:02}00", f"from {start:02}:00 on", replace(base, hours=tuple(range(start, 24, step))))
        for start in starts
    ]
    if len(options) == 1:
        return sole_meaning(options[0].when)
    return Meaning(options, "At which times of day?", Certainty.ASK)


def sub_daily(clauses: Clauses, field: str, local: datetime | None) -> Meaning | None:
    """Steps of the clock where a zone is known and the step divides the hour or the day, else elapsed time."""
    unit, number = str(clauses.unit), clauses.number or 1
    size = {"second": 60, "minute": 60, "hour": 24}[unit]
    seconds = number * SECONDS[unit]
    is_plain = clauses.only("unit", "number", "adverb")
    follows_clock = local is not None and field != "interval" and unit != "second"
    if is_plain and not (follows_clock and size % number == 0 and (number < size or unit == "minute")):
        return sole_meaning(TimeText("interval", f"{seconds}s"))
    if not clauses.only("unit", "number", "adverb", "window", "minutes", *DAY_NAMES) or unit == "second":
        return None
    if size % number and clauses.window is None:
        raise InexpressibleError(f"every {number} {unit}s on some days only is not evenly spaced")
    if clauses.minutes is not None and (unit != "hour" or clauses.window is not None):
        return None
    base = days_of(clauses)
    if clauses.window is not None:
        return _within(base, clauses.window, seconds)
    steps = tuple(range(0, size, number))
    if unit == "hour":
        return sole_meaning(replace(base, minutes=clauses.minutes or (0,), hours=steps))
    return sole_meaning(replace(base, minutes=steps, hours=HOURS))


def _within(base: Calendar, window: tuple[int, int, bool], step: int) -> Meaning:
    """`between 9 and 17` may end at 17:00, before it, or with the last time of that hour."""
    first, last, is_bare = window
    inclusive = tuple(range(first, last + 1, step))
    ends = {"inclusive": inclusive}
    if last % HOUR == 0 and last in inclusive and step < HOUR:
        if is_bare:
            ends["whole-hour"] = tuple(range(first, last + HOUR, step))
        ends["before"] = inclusive[:-1]
    options = [
        Option(name, f"the last time of a day is {clock_of(times[-1]):%H:%M}", at_times(base, times))
        for name, times in ends.items()
    ]
    if len(options) == 1:
        return sole_meaning(options[0].when)
    return Meaning(options, "Which time of a day is the last one?", Certainty.ASK, "inclusive")


def at_minutes(clauses: Clauses) -> Meaning | None:
    """Minutes of every hour or of some hours."""
    if not clauses.only("minutes", "hours", *DAY_NAMES):
        return None
    return sole_meaning(replace(days_of(clauses), minutes=clauses.minutes or (0,), hours=clauses.hours or HOURS))
