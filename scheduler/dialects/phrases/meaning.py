"""What the clauses of a phrase mean: one calendar, interval or time, or several that the writer must choose from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from scheduler.dialects.calendar import EVERY_WEEKDAY, HOURS, MONTHS, WORKDAYS, Calendar
from scheduler.dialects.phrases.clauses import Clauses
from scheduler.dialects.translation import Certainty, InexpressibleError, TimeText
from scheduler.triggers.rrule.parse import Weekday

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_FREQUENCIES = {"day": "DAILY", "week": "WEEKLY", "month": "MONTHLY", "year": "YEARLY"}
_DAY_PARTS = {"morning": (6, 8, 9), "evening": (18, 20, 22), "night": (0, 2, 22)}
_PART_HOURS = {"morning": range(4, 12), "evening": range(16, 24), "night": (*range(20, 24), *range(6))}
_USUAL_HOURS = (0, 8, 9, 12, 18)
_MAX_PHASES = 4
_DAY_NAMES = ("month_days", "nearest", "weekdays", "months")
_HOUR = 3600
_DAY = timedelta(days=1)


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


def meaning(clauses: Clauses, field: str, now: datetime, local: datetime | None) -> Meaning | None:
    """The meaning of a phrase in the field cron, rrule, interval or once; None if it has none.

    `now` is aware; `local` is the same in the time zone of the phrase, naive, or None if that is not known.

    Raises:
        InexpressibleError: the phrase is understood, and a trigger cannot express it.
    """
    if clauses.after is not None:
        return _after(clauses, now)
    if clauses.days_ahead is not None or clauses.next_weekday is not None or clauses.day is not None:
        return _single(clauses, local)
    if clauses.times_per is not None:
        return _times_per(clauses)
    return _recurring(clauses, field, local)


def _recurring(clauses: Clauses, field: str, local: datetime | None) -> Meaning | None:
    if clauses.unit in ("second", "minute", "hour"):
        return _sub_daily(clauses, field, local)
    if clauses.window is not None:
        return None
    if clauses.minutes is not None:
        return _at_minutes(clauses)
    return _daily(clauses, field, local)


def _one(when: Calendar | TimeText) -> Meaning:
    return Meaning((Option("only", "", when),))


def _after(clauses: Clauses, now: datetime) -> Meaning | None:
    number, unit = clauses.after or (0, "")
    if not clauses.only("after") or unit not in _SECONDS:
        return None
    seconds = number * _SECONDS[unit]
    at = (now.astimezone(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)
    once = Option("once", "once", TimeText("once", f"{at:%Y-%m-%dT%H:%M:%S}Z"))
    repeated = Option("every", "again and again", TimeText("interval", f"{seconds}s"))
    return Meaning((once, repeated), "Does it run once, or repeatedly?", Certainty.ASSUMED, "once")


def _single(clauses: Clauses, local: datetime | None) -> Meaning | None:
    if not clauses.only("days_ahead", "next_weekday", "day", "times"):
        return None
    if clauses.times is not None and len(clauses.times) != 1:
        raise InexpressibleError("a single day needs one time, such as tomorrow at 9:00")
    day = clauses.day or _relative_day(clauses, local)
    if clauses.times is None:
        options = [Option(f"at-{hour:02}00", f"at {hour:02}:00", _once(day, hour * _HOUR)) for hour in _USUAL_HOURS]
        return Meaning(options, "At which time of day?", Certainty.ASK)
    [at] = clauses.times
    if clauses.day is not None:
        return _one(_once(day, at))
    if clauses.next_weekday is None:
        repeated = Option("daily", "every day", _at(Calendar(), (at,)))
    else:
        weekly = Calendar(weekdays=(Weekday(0, clauses.next_weekday),))
        repeated = Option("weekly", "every week", _at(weekly, (at,)))
    options = [Option("once", "once", _once(day, at)), repeated]
    return Meaning(options, "Does it run once, or repeatedly?", Certainty.ASSUMED, "once")


def _relative_day(clauses: Clauses, local: datetime | None) -> date:
    if local is None:
        raise InexpressibleError("a day relative to today needs the schedule's time_zone, such as Europe/Chisinau")
    if clauses.next_weekday is None:
        return local.date() + (clauses.days_ahead or 0) * _DAY
    return local.date() + ((clauses.next_weekday - local.weekday() - 1) % 7 + 1) * _DAY


def _once(day: date, seconds: int) -> TimeText:
    return TimeText("once", _instant(day, seconds).isoformat())


def _clock(seconds: int) -> time:
    return time(seconds // _HOUR, seconds // 60 % 60, seconds % 60)


def _times_per(clauses: Clauses) -> Meaning | None:
    number, unit = clauses.times_per or (0, "")
    if not clauses.only("times_per", *_DAY_NAMES) or unit not in ("hour", "day"):
        return None
    size = 60 if unit == "hour" else 24
    if size % number:
        raise InexpressibleError(f"{number} times a{'n' if unit == 'hour' else ''} {unit} are not evenly spaced")
    step, base = size // number, _calendar(clauses)
    if unit == "hour":
        return _one(replace(base, minutes=tuple(range(0, 60, step)), hours=HOURS))
    starts = sorted({0, *(hour for hour in (6, 8, 9) if hour < step)})
    options = [
        Option(f"from-{start:02}00", f"from {start:02}:00 on", replace(base, hours=tuple(range(start, 24, step))))
        for start in starts
    ]
    return Meaning(options, "At which times of day?", Certainty.ASK) if len(options) > 1 else _one(options[0].when)


def _calendar(clauses: Clauses) -> Calendar:
    """The days of the phrase."""
    return Calendar(
        month_days=clauses.month_days,
        weekdays=clauses.weekdays,
        months=clauses.months or MONTHS,
        nearest=clauses.nearest or (),
    )


def _sub_daily(clauses: Clauses, field: str, local: datetime | None) -> Meaning | None:
    """Steps of the clock where a zone is known and the step divides the hour or the day, else elapsed time."""
    unit, number = str(clauses.unit), clauses.number or 1
    size = {"second": 60, "minute": 60, "hour": 24}[unit]
    seconds = number * _SECONDS[unit]
    is_plain = clauses.only("unit", "number", "adverb")
    follows_clock = local is not None and field != "interval" and unit != "second"
    if is_plain and not (follows_clock and size % number == 0 and (number < size or unit == "minute")):
        return _one(TimeText("interval", f"{seconds}s"))
    if not clauses.only("unit", "number", "adverb", "window", "minutes", *_DAY_NAMES) or unit == "second":
        return None
    if size % number and clauses.window is None:
        raise InexpressibleError(f"every {number} {unit}s on some days only is not evenly spaced")
    if clauses.minutes is not None and (unit != "hour" or clauses.window is not None):
        return None
    base = _calendar(clauses)
    if clauses.window is not None:
        return _within(base, clauses.window, seconds)
    steps = tuple(range(0, size, number))
    if unit == "hour":
        return _one(replace(base, minutes=clauses.minutes or (0,), hours=steps))
    return _one(replace(base, minutes=steps, hours=HOURS))


def _within(base: Calendar, window: tuple[int, int, bool], step: int) -> Meaning:
    """`between 9 and 17` may end at 17:00, before it, or with the last time of that hour."""
    first, last, is_bare = window
    inclusive = tuple(range(first, last + 1, step))
    ends = {"inclusive": inclusive}
    if last % _HOUR == 0 and last in inclusive and step < _HOUR:
        if is_bare:
            ends["whole-hour"] = tuple(range(first, last + _HOUR, step))
        ends["before"] = inclusive[:-1]
    options = [
        Option(name, f"the last time of a day is {_clock(times[-1]):%H:%M}", _at(base, times))
        for name, times in ends.items()
    ]
    if len(options) == 1:
        return _one(options[0].when)
    return Meaning(options, "Which time of a day is the last one?", Certainty.ASK, "inclusive")


def _at(base: Calendar, times: Sequence[int]) -> Calendar:
    """The calendar with these times of day."""
    hours = tuple(sorted({at // _HOUR for at in times}))
    minutes = tuple(sorted({at // 60 % 60 for at in times}))
    seconds = tuple(sorted({at % 60 for at in times}))
    is_grid = len(hours) * len(minutes) * len(seconds) == len(set(times))
    return replace(base, hours=hours, minutes=minutes, seconds=seconds, only=None if is_grid else tuple(times))


def _at_minutes(clauses: Clauses) -> Meaning | None:
    if not clauses.only("minutes", "hours", *_DAY_NAMES):
        return None
    return _one(replace(_calendar(clauses), minutes=clauses.minutes or (0,), hours=clauses.hours or HOURS))


def _daily(clauses: Clauses, field: str, local: datetime | None) -> Meaning | None:
    if not clauses.only("unit", "number", "adverb", "times", "day_part", "dated", *_DAY_NAMES):
        return None
    if clauses.adverb and clauses.only("unit", "number", "adverb"):
        return _adverb(str(clauses.unit), field)
    if clauses.only("times"):
        return _without_day(clauses.times or (), local)
    if clauses.times is None:
        return _without_time(clauses, field, local)
    if clauses.day_part is not None:
        clauses = _in_part(clauses)
    may_be_once = clauses.dated == "day" or (clauses.dated == "weekday" and field == "once")
    return _dated(clauses, local) if may_be_once and clauses.unit is None else _repeated(clauses, local)


def _in_part(clauses: Clauses) -> Clauses:
    """The phrase without its part of the day: `every evening at 8` is at 20:00 every day."""
    hours = _PART_HOURS[str(clauses.day_part)]
    times = []
    for at in clauses.times or ():
        hour = next((hour for hour in (at // _HOUR, at // _HOUR + 12) if hour in hours), None)
        if hour is None:
            raise InexpressibleError(f"{_clock(at):%H:%M} is not a time of the {clauses.day_part}")
        times.append(hour * _HOUR + at % _HOUR)
    return replace(clauses, times=tuple(sorted(times)), day_part=None, unit=_unit_of(clauses))


def _unit_of(clauses: Clauses) -> str | None:
    """A part of the day without other days is one of every day."""
    has_days = clauses.weekdays is not None or clauses.month_days is not None or clauses.nearest is not None
    return clauses.unit or ("day" if clauses.day_part and not has_days else None)


def _adverb(unit: str, field: str) -> Meaning | None:
    """A word such as `daily` alone: at midnight, or as long after the last time as the unit is."""
    if field == "interval":
        return _one(TimeText("interval", f"{_SECONDS[unit]}s")) if unit in _SECONDS else None
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
        return _one(options[0].when)
    return Meaning(options, "On which day and at which time?", Certainty.ASK)


def _without_day(times: Sequence[int], local: datetime | None) -> Meaning:
    at = _at(Calendar(), times)
    options = [
        Option("daily", "every day", at),
        Option("workdays", "from Monday to Friday", replace(at, weekdays=WORKDAYS)),
    ]
    if local is not None and len(times) == 1:
        at_once = datetime.combine(local.date(), _clock(times[0]))
        at_once += _DAY if at_once <= local else timedelta()
        options.append(Option("once", "once", TimeText("once", at_once.isoformat())))
    return Meaning(options, "On which days?", Certainty.ASK, "daily")


def _without_time(clauses: Clauses, field: str, local: datetime | None) -> Meaning | None:
    number = clauses.number or 1
    if clauses.only("unit", "number") and clauses.unit in _SECONDS and (number > 1 or field == "interval"):
        return _one(TimeText("interval", f"{number * _SECONDS[clauses.unit]}s"))
    hours = _DAY_PARTS[clauses.day_part] if clauses.day_part else _USUAL_HOURS if number == 1 else (0, 9)
    options: list[Option] = []
    for hour in hours:
        timed = _repeated(replace(clauses, times=(hour * _HOUR,), day_part=None, unit=_unit_of(clauses)), local)
        if timed is None:
            return None
        at = f"at {hour:02}:00"
        for option in timed.options:
            suffix, more = (f"-{option.id}", f", {option.label}") if option.label else ("", "")
            options.append(Option(f"at-{hour:02}00{suffix}", at + more, option.when))
    return Meaning(options, "At which time of day?", Certainty.ASK)


def _dated(clauses: Clauses, local: datetime | None) -> Meaning | None:
    """The phrase `on December 24 at 18:00` may name one time, or one of every year."""
    times = clauses.times or ()
    each = _at(_calendar(clauses), times)
    if local is None or len(times) != 1:
        return _one(each)
    day = next((day for day in _days_from(local) if _is_in(each, day) and _instant(day, times[0]) > local), None)
    if day is None:
        return _one(each)
    once = Option("once", "once", _once(day, times[0]))
    return Meaning((once, Option("every", "every time", each)), "Does it run once, or repeatedly?", Certainty.ASK)


def _instant(day: date, seconds: int) -> datetime:
    return datetime.combine(day, _clock(seconds))


def _days_from(local: datetime) -> list[date]:
    return [local.date() + number * _DAY for number in range(4 * 366 + 1)]


def _is_in(calendar: Calendar, day: date) -> bool:
    by_weekday = calendar.weekdays is None or Weekday(0, day.weekday()) in calendar.weekdays
    by_day = calendar.month_days is None or day.day in calendar.month_days
    return day.month in calendar.months and by_day and by_weekday


def _repeated(clauses: Clauses, local: datetime | None) -> Meaning | None:
    base = _at(_calendar(clauses), clauses.times or ())
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
        return _one(replace(base, weekdays=None) if base.weekdays == EVERY_WEEKDAY else base)
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
        return day + phase * _DAY
    if unit == "week":
        return day - day.weekday() * _DAY + 7 * phase * _DAY
    if unit == "year":
        return date(day.year + phase, 1, 1)
    months = day.year * 12 + day.month - 1 + phase
    return date(months // 12, months % 12 + 1, 1)
