"""What the clauses of a phrase mean: one calendar, interval or time, or several that the writer must choose from."""

from dataclasses import replace
from datetime import date, datetime

from scheduler.dialects.calendar import EVERY_WEEKDAY, Calendar
from scheduler.dialects.phrases.clauses import Clauses
from scheduler.dialects.phrases.one_time import USUAL_HOURS, after_span, one_or_many, single_day, without_day
from scheduler.dialects.phrases.options import (
    DAY,
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
from scheduler.dialects.phrases.steps import at_minutes, sub_daily, times_per
from scheduler.dialects.translation import Certainty, InexpressibleError, TimeText
from scheduler.triggers.rrule.parse import Weekday

_FREQUENCIES = {"day": "DAILY", "week": "WEEKLY", "month": "MONTHLY", "year": "YEARLY"}
_DAY_PARTS = {"morning": (6, 8, 9), "evening": (18, 20, 22), "night": (0, 2, 22)}
_PART_HOURS = {"morning": range(4, 12), "evening": range(16, 24), "night": (*range(20, 24), *range(6))}
_MAX_PHASES = 4


def meaning(clauses: Clauses, field: str, now: datetime, local: datetime | None) -> Meaning | None:
    """The meaning of a phrase in the field cron, rrule, interval or once; otherwise None.

    `now` is aware; `local` is the same in the time zone of the phrase, naive, or None if that is not known.

    Raises:
        InexpressibleError: the phrase is understood, and a trigger cannot express it.
    """
    if clauses.after is not None:
        return after_span(clauses, now)
    if clauses.days_ahead is not None or clauses.next_weekday is not None or clauses.day is not None:
        return single_day(clauses, local)
    if clauses.times_per is not None:
        return times_per(clauses)
    return _recurring(clauses, field, local)


def _recurring(clauses: Clauses, field: str, local: datetime | None) -> Meaning | None:
    if clauses.unit in ("second", "minute", "hour"):
        return sub_daily(clauses, field, local)
    if clauses.window is not None:
        return None
    if clauses.minutes is not None:
        return at_minutes(clauses)
    return _daily(clauses, field, local)


def _daily(clauses: Clauses, field: str, local: datetime | None) -> Meaning | None:
    if not clauses.only("unit", "number", "adverb", "times", "day_part", "dated", *DAY_NAMES):
        return None
    if clauses.adverb and clauses.only("unit", "number", "adverb"):
        return _adverb(str(clauses.unit), field)
    if clauses.only("times"):
        return without_day(clauses.times or (), local)
    if clauses.times is None:
        return _without_time(clauses, field, local)
    if clauses.day_part is not None:
        clauses = _in_part(clauses)
    may_be_once = clauses.dated == "day" or (clauses.dated == "weekday" and field == "once")
    return one_or_many(clauses, local) if may_be_once and clauses.unit is None else _repeated(clauses, local)


def _in_part(clauses: Clauses) -> Clauses:
    """The phrase without its part of the day: `every evening at 8` is at 20:00 every day."""
    hours = _PART_HOURS[str(clauses.day_part)]
    times = []
    for at in clauses.times or ():
        hour = next((hour for hour in (at // HOUR, at // HOUR + 12) if hour in hours), None)
        if hour is None:
            raise InexpressibleError(f"{clock_of(at):%H:%M} is not a time of the {clauses.day_part}")
        times.append(hour * HOUR + at % HOUR)
    return replace(clauses, times=tuple(sorted(times)), day_part=None, unit=_unit_of(clauses))


def _unit_of(clauses: Clauses) -> str | None:
    """A part of the day without other days is one of every day."""
    has_days = clauses.weekdays is not None or clauses.month_days is not None or clauses.nearest is not None
    return clauses.unit or ("day" if clauses.day_part and not has_days else None)


def _adverb(unit: str, field: str) -> Meaning | None:
    """A word such as `daily` alone: at midnight, or as long after the last time as the unit is."""
    if field == "interval":
        return sole_meaning(TimeText("interval", f"{SECONDS[unit]}s")) if unit in SECONDS else None
    days = {
        "day": [("midnight", "at 00:00", Calendar())],
        "week": [
            ("monday", "on Monday at 00:00", Calendar(weekdays=(Weekday(0, 0),))),
            ("sunday", "on Sunday at 00:00", Calendar(weekdays=(Weekday(0, 6),))),
        ],
        "month": [("first", "on the first day at 00:00", Calendar(month_days=(1,)))],
        "year": [("first", "on the first day at 00:00", Calendar(month_days=(1,), months=(1,)))],
    }
    options = [Option(name, label, calendar) for name, label, calendar in days[unit]]
    if field == "rrule":
        rule = TimeText("rrule", f"FREQ={_FREQUENCIES[unit]}")
        options.append(Option("now", "counted from the time at which it is created", rule))
    if len(options) == 1:
        return sole_meaning(options[0].when)
    return Meaning(options, "On which day and at which time?", Certainty.ASK)


def _without_time(clauses: Clauses, field: str, local: datetime | None) -> Meaning | None:
    number = clauses.number or 1
    if clauses.only("unit", "number") and clauses.unit in SECONDS and (number > 1 or field == "interval"):
        return sole_meaning(TimeText("interval", f"{number * SECONDS[clauses.unit]}s"))
    hours = _DAY_PARTS[clauses.day_part] if clauses.day_part else USUAL_HOURS if number == 1 else (0, 9)
    options: list[Option] = []
    for hour in hours:
        timed = _repeated(replace(clauses, times=(hour * HOUR,), day_part=None, unit=_unit_of(clauses)), local)
        if timed is None:
            return None
        at = f"at {hour:02}:00"
        for option in timed.options:
            suffix, detail = (f"-{option.id}", f", {option.label}") if option.label else ("", "")
            options.append(Option(f"at-{hour:02}00{suffix}", at + detail, option.when))
    return Meaning(options, "At which time of day?", Certainty.ASK)


def _repeated(clauses: Clauses, local: datetime | None) -> Meaning | None:
    base = at_times(days_of(clauses), clauses.times or ())
    unit, number = clauses.unit, clauses.number or 1
    has_days = base.weekdays is not None or base.month_days is not None or bool(base.nearest)
    if not (unit or has_days or clauses.day_part):
        return None
    needs = {"week": base.weekdays, "month": has_days or None, "year": base.month_days}
    if unit in needs and needs[unit] is None:
        return None
    if unit == "day" and has_days and number > 1:
        return None
    if unit == "week" and (base.month_days or any(day.nth for day in base.weekdays or ())):
        return None
    if number == 1:
        return sole_meaning(replace(base, weekdays=None) if base.weekdays == EVERY_WEEKDAY else base)
    return _phases(base, str(unit), number, local)


def _phases(base: Calendar, unit: str, number: int, local: datetime | None) -> Meaning:
    """Every second week begins with this week or with the next one."""
    if local is None:
        raise InexpressibleError(f"every {number} {unit}s needs the schedule's time_zone, such as Europe/Chisinau")
    options = []
    for phase in range(min(number, _MAX_PHASES)):
        start = _period(local.date(), unit, phase)
        calendar = replace(base, unit=_FREQUENCIES[unit], step=number, start=start)
        options.append(Option(f"from-{start}", f"counted from {start}", calendar))
    return Meaning(options, "From when on is it counted?", Certainty.ASK, options[0].id)


def _period(day: date, unit: str, phase: int) -> date:
    """The first day of the phase-th period from the one of `day` on."""
    if unit == "day":
        return day + phase * DAY
    if unit == "week":
        return day - day.weekday() * DAY + 7 * phase * DAY
    if unit == "year":
        return date(day.year + phase, 1, 1)
    months = day.year * 12 + day.month - 1 + phase
    return date(months // 12, months % 12 + 1, 1)
