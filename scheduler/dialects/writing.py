"""Writes a calendar as cron where cron can express it, else as an rrule."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from scheduler.dialects.calendar import EVERY_WEEKDAY, HOURS, MINUTES, MONTH_DAYS, MONTHS, SECONDS, WORKDAYS, Calendar
from scheduler.dialects.translation import InexpressibleError, TimeText
from scheduler.triggers.localtime.zone import zone
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.parse import WEEKDAYS, Weekday
from scheduler.triggers.rrule.trigger import RRuleTrigger
from scheduler.triggers.trigger import stamp

_LAST_YEAR = 2199
_MAX_POSITIONS = 366


def write(calendar: Calendar, now: datetime) -> TimeText:
    """The trigger with exactly the times of the calendar after `now` (naive, local).

    Raises:
        InexpressibleError: one trigger cannot express it, or its years are over.
    """
    calendar = _simplified(calendar)
    if calendar == Calendar(MINUTES, HOURS, SECONDS):
        return TimeText("interval", "1s")
    if _is_cron(calendar):
        return TimeText("cron", _cron(calendar))
    if calendar.month_days and calendar.weekdays and calendar.either:
        raise InexpressibleError(
            "it fires on days of the month or on weekdays, which needs two triggers, one for each of the two fields"
        )
    return _limited(calendar, _rule(calendar), now)


def cron_field(values: Sequence[int], low: int, high: int, *, star: bool = True) -> str:
    """The shortest cron field with these sorted values; without `star` it does not begin with `*`.

    >>> cron_field((0, 20, 40), 0, 59), cron_field((1, 2, 3, 9), 0, 23), cron_field((5, 20, 35, 50), 0, 59)
    ('*/20', '1-3,9', '5-50/15')
    """
    step = values[1] - values[0] if len(values) > 1 else 0
    if (len(values) > 2 or high in (23, 59)) and step and tuple(values) == tuple(range(low, high + 1, step)):
        whole = "*" if star else f"{low}-{high}"
        return whole if step == 1 else f"{whole}/{step}"
    if len(values) > 3 and step > 1 and tuple(values) == tuple(range(values[0], values[-1] + 1, step)):
        return f"{values[0]}-{values[-1]}/{step}"
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in _runs(values))


def _runs(values: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][-1] + 1 == value:
            runs[-1].append(value)
        else:
            runs.append([value])
    return runs


def _simplified(calendar: Calendar) -> Calendar:
    """Without fields that restrict nothing."""
    all_days = calendar.month_days is not None and set(MONTH_DAYS) <= set(calendar.month_days)
    all_weekdays = calendar.weekdays is not None and set(EVERY_WEEKDAY) <= set(calendar.weekdays)
    if (all_days or all_weekdays) and calendar.either:
        return replace(calendar, month_days=None, weekdays=None, either=False)
    return replace(
        calendar,
        month_days=None if all_days else calendar.month_days,
        weekdays=None if all_weekdays else calendar.weekdays,
    )


def _is_cron(calendar: Calendar) -> bool:
    days, weekdays = calendar.month_days, calendar.weekdays
    return (
        calendar.seconds == (0,)
        and calendar.years is None
        and calendar.only is None
        and not calendar.unit
        and not calendar.nearest
        and min(days or (1,)) > 0
        and not any(day.nth for day in weekdays or ())
        and (days is None or weekdays is None or calendar.either)
    )


def _cron(calendar: Calendar) -> str:
    both = calendar.month_days is not None and calendar.weekdays is not None
    weekdays = sorted((day.number + 1) % 7 for day in calendar.weekdays or ())
    words = (
        cron_field(calendar.minutes, 0, 59),
        cron_field(calendar.hours, 0, 23),
        cron_field(calendar.month_days, 1, 31, star=not both) if calendar.month_days else "*",
        cron_field(calendar.months, 1, 12),
        cron_field(weekdays, 0, 6, star=not both) if weekdays else "*",
    )
    return " ".join(words)


def _rule(calendar: Calendar) -> str:
    frequency = calendar.unit or _frequency(calendar)
    parts = [f"FREQ={frequency}"]
    if calendar.step > 1:
        parts.append(f"INTERVAL={calendar.step}")
    if calendar.months != MONTHS:
        parts.append(_by("MONTH", calendar.months))
    parts += _days(calendar)
    if frequency not in ("HOURLY", "MINUTELY"):
        parts.append(_by("HOUR", calendar.hours))
    if frequency != "MINUTELY":
        parts.append(_by("MINUTE", calendar.minutes))
    parts.append(_by("SECOND", calendar.seconds))
    return ";".join([*parts, *_positions(calendar)])


def _by(name: str, values: Sequence[object]) -> str:
    return f"BY{name}={','.join(map(str, values))}"


def _frequency(calendar: Calendar) -> str:
    """Hours that are not restricted follow elapsed time, as `*` does in cron."""
    numbered = any(day.nth for day in calendar.weekdays or ()) or calendar.nearest
    if calendar.hours == HOURS and not numbered and calendar.only is None:
        return "MINUTELY" if calendar.minutes == MINUTES else "HOURLY"
    if calendar.only is not None and not numbered:
        return "DAILY"
    if numbered or calendar.month_days:
        return "MONTHLY"
    return "WEEKLY" if calendar.weekdays else "DAILY"


def _days(calendar: Calendar) -> list[str]:
    if calendar.nearest:
        if calendar.month_days or calendar.weekdays or not set(calendar.nearest) <= {1, -1}:
            raise InexpressibleError(
                "the nearest weekday to a day of the month can be expressed only for the first and the last day (1W, "
                "LW), and not together with other days"
            )
        return [_by("DAY", [_day(day) for day in WORKDAYS])]
    if calendar.month_days and any(day.nth for day in calendar.weekdays or ()):
        raise InexpressibleError("a numbered weekday cannot be combined with days of the month")
    parts = [_by("MONTHDAY", calendar.month_days)] if calendar.month_days else []
    return [*parts, _by("DAY", [_day(day) for day in calendar.weekdays])] if calendar.weekdays else parts


def _day(day: Weekday) -> str:
    return f"{day.nth or ''}{WEEKDAYS[day.number]}"


def _positions(calendar: Calendar) -> list[str]:
    """BYSETPOS counts times: the first weekday has as many as a day has."""
    times = sorted(
        hour * 3600 + minute * 60 + second
        for hour in calendar.hours
        for minute in calendar.minutes
        for second in calendar.seconds
    )
    places: list[int] = []
    if calendar.only is not None:
        places = [place for place, time in enumerate(times, 1) if time in calendar.only]
    elif calendar.nearest:
        places = [place for place in range(1, len(times) + 1) if 1 in calendar.nearest]
        places += [-place for place in range(len(times), 0, -1) if -1 in calendar.nearest]
    if not places:
        return []
    if max(map(abs, places)) > _MAX_POSITIONS:
        raise InexpressibleError(f"it has more than {_MAX_POSITIONS} times a day")
    numbered = calendar.nearest or any(day.nth for day in calendar.weekdays or ())
    if calendar.only is not None and (numbered or calendar.unit not in ("", "DAILY")):
        raise InexpressibleError("these times of day need one trigger each")
    return [_by("SETPOS", places)]


def _limited(calendar: Calendar, rule: str, now: datetime) -> TimeText:
    """The rule from its start and in its years; a single time becomes `once`."""
    if calendar.start is not None:
        return TimeText("rrule", f"DTSTART:{stamp(_first(rule, calendar.start))}\nRRULE:{rule}")
    if calendar.years is None:
        return TimeText("rrule", rule)
    first, last = calendar.years[0], min(calendar.years[-1], _LAST_YEAR)
    if last - first + 1 != len(calendar.years) and last != _LAST_YEAR:
        raise InexpressibleError("only years in one row can be expressed, such as 2026-2028")
    if last < now.year:
        raise InexpressibleError(f"its last year, {last}, is over")
    if last < _LAST_YEAR:
        rule += f";UNTIL={last}1231"
    start = max(datetime(first, 1, 1), datetime(now.year, 1, 1))  # noqa: DTZ001 - local time of the schedule
    times = _times(rule, start, 2)
    if len(times) == 1:
        return TimeText("once", times[0].isoformat())
    if first <= now.year:
        return TimeText("rrule", rule)
    return TimeText("rrule", f"DTSTART:{stamp(times[0])}\nRRULE:{rule}")


def _first(rule: str, start: date) -> datetime:
    """The first time of the rule on or after the day, so that DTSTART is an occurrence."""
    return _times(rule, datetime.combine(start, datetime.min.time()), 1)[0]


def _times(rule: str, start: datetime, number: int) -> list[datetime]:
    utc = zone("UTC")
    times: list[datetime] = []
    try:
        trigger = RRuleTrigger(f"DTSTART:{stamp(start)}\nRRULE:{rule}", utc)
        after = start.replace(tzinfo=utc) - timedelta(seconds=1)
        while len(times) < number and (firing := trigger.after(after)):
            after = firing.time
            times.append(after.replace(tzinfo=None))
    except ScheduleError as error:
        raise InexpressibleError(error.message) from error
    if not times:
        raise InexpressibleError("it never fires")
    return times
