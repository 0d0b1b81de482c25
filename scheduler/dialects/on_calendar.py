"""The calendar events of systemd, `Mon..Fri *-*-* 09:00:00`. Source: systemd.time(7), "Calendar events"."""

import re
from datetime import datetime

from ordinaut.limits import FIRST_YEAR, LAST_YEAR
from scheduler.dialects.calendar import MONTHS, Calendar
from scheduler.dialects.fields import Bounds, UnfitError
from scheduler.dialects.translation import InexpressibleError, TimeText
from scheduler.dialects.words import ENGLISH_WEEKDAYS, plain
from scheduler.triggers.localtime.zone import resolve, zone, zone_names
from scheduler.triggers.rrule.parse import Weekday

SHORTHANDS = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
    "annually": "*-01-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
}
_YEAR, _MONTH, _DAY = Bounds("year", 1970, 2199), Bounds("month", 1, 12), Bounds("day", 1, 31)
_HOUR, _MINUTE, _SECOND = Bounds("hour", 0, 23), Bounds("minute", 0, 59), Bounds("second", 0, 59)
_PREFIX = re.compile(r"OnCalendar\s*=\s*", re.IGNORECASE)
_WEEKDAYS = re.compile(r"[a-z]{3,9}(?:(?:\.\.|-|,)[a-z]{3,9})*,?", re.ASCII)
_DATE = re.compile(r"(?:([0-9*.,/]+)-)?([0-9*.,/]+)([-~])([0-9*.,/]+)", re.ASCII)
_CLOCK = re.compile(r"([0-9*.,/]+):([0-9*.,/]+?)(?::([0-9*.,/]+))?", re.ASCII)
_ITEM = re.compile(r"(?:(\*)|([0-9]{1,4})(?:\.\.([0-9]{1,4}))?)(?:/([0-9]{1,4}))?", re.ASCII)


def on_calendar(text: str) -> tuple[Calendar, str] | None:
    """The calendar and the zone (or an empty text) of an event; None if the text is not one.

    >>> calendar, name = on_calendar("Mon..Fri *-*-* 09:00 Europe/Berlin")
    >>> [day.number for day in calendar.weekdays], calendar.hours, name
    ([0, 1, 2, 3, 4], (9,), 'Europe/Berlin')

    Raises:
        InexpressibleError: it is such an event, with a value that is out of range or a fraction of a second.
    """
    text, is_named = _PREFIX.subn("", text)
    words = (SHORTHANDS.get(text.lower()) or text).split()
    name = words.pop() if len(words) > 1 and words[-1] in zone_names() else ""
    weekdays = words.pop(0) if words and _WEEKDAYS.fullmatch(plain(words[0])) else ""
    day = words.pop(0) if words and _DATE.fullmatch(words[0]) else ""
    clock = words.pop(0) if words and _CLOCK.fullmatch(words[0]) else ""
    is_single_day = bool(re.fullmatch("[0-9-]+", day)) and not weekdays and not clock
    if words or not (is_named or _is_event(weekdays, day, clock)) or (is_single_day and not is_named):
        return None
    try:
        return _calendar(plain(weekdays), day or "*-*-*", clock or "00:00:00"), name
    except UnfitError as error:
        raise InexpressibleError(str(error)) from error


def _is_event(weekdays: str, day: str, clock: str) -> bool:
    """Whether the parts are more than a phrase such as `Monday`, `9:00` or `9-17` would be."""
    has_year = len(re.split("[-~]", day)) == 3
    if day and not has_year and "*" not in day:
        return False  # 05-06 is a day of May or of June
    return has_year or ".." in weekdays or bool(clock and (day or weekdays or not clock.replace(":", "").isdigit()))


def once_in_zone(calendar: Calendar, name: str) -> TimeText | None:
    """The only time of the calendar as an instant, or None if it has several or no zone."""
    fields = (calendar.years, calendar.months, calendar.month_days, calendar.hours, calendar.minutes, calendar.seconds)
    if not name or calendar.weekdays or any(values is None or len(values) != 1 for values in fields):
        return None
    try:
        local = datetime(*(values[0] for values in fields if values))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError as error:
        raise InexpressibleError(f"{error}") from error
    return instant_of(local, name)


def instant_of(local: datetime, name: str) -> TimeText:
    """The local time of a zone with its offset.

    Raises:
        InexpressibleError: the year is out of range.
    """
    if not FIRST_YEAR < local.year < LAST_YEAR:
        raise InexpressibleError(f"a year must be between {FIRST_YEAR} and {LAST_YEAR} (got {local.year})")
    where = zone(name)
    return TimeText("once", resolve(local, where).first.astimezone(where).isoformat())


def _calendar(weekdays: str, day: str, clock: str) -> Calendar:
    year_word, month_word, separator, day_word = _match(_DATE, day)
    hour_word, minute_word, second_word = _match(_CLOCK, clock)
    days = _from_end(day_word) if separator == "~" else None if day_word == "*" else _values(day_word, _DAY)
    return Calendar(
        minutes=_values(minute_word, _MINUTE),
        hours=_values(hour_word, _HOUR),
        seconds=_values(second_word, _SECOND) if second_word else (0,),
        month_days=days,
        weekdays=_weekdays(weekdays) if weekdays else None,
        months=MONTHS if month_word == "*" else _values(month_word, _MONTH),
        years=_values(year_word, _YEAR) if year_word and year_word != "*" else None,
    )


def _from_end(word: str) -> tuple[int, ...]:
    """Days after `~` count from the end of the month; a step continues towards the end: `07/1` is the last week."""
    values: set[int] = set()
    for item in word.split(","):
        match = _ITEM.fullmatch(item)
        if match is None or match[1] or match[3] or not 1 <= int(match[2]) <= _DAY.high:
            raise UnfitError(f'"{item}" after ~ is not a day, counted from the end of the month')
        step = int(match[4]) if match[4] else int(match[2])
        if not step:
            raise UnfitError(f'the step of "{item}" must be at least 1')
        values.update(range(-int(match[2]), 0, step))
    return tuple(sorted(values))


def _match(pattern: re.Pattern[str], text: str) -> tuple[str, ...]:
    match = pattern.fullmatch(text)
    if match is None:
        raise UnfitError(f'"{text}" is not a part of a calendar event')
    return match.groups()


def _values(word: str, bounds: Bounds) -> tuple[int, ...]:
    values: set[int] = set()
    for item in word.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise UnfitError(f'"{item}" is not a value of the field {bounds.name}')
        values.update(_item(match, bounds))
    return tuple(sorted(values))


def _item(match: re.Match[str], bounds: Bounds) -> range:
    star, first_word, last_word, step_word = match.groups()
    step = int(step_word) if step_word else 1
    first = bounds.low if star else int(first_word)
    last = int(last_word) if last_word else bounds.high if star or step_word else first
    if not bounds.low <= first <= last <= bounds.high or not step:
        raise UnfitError(f'"{match[0]}" in the field {bounds.name} is not in {bounds.low}-{bounds.high}')
    return range(first, last + 1, step)


def _weekdays(text: str) -> tuple[Weekday, ...]:
    values: set[int] = set()
    for item in text.rstrip(",").split(","):
        first_word, _, last_word = item.replace("..", "-").partition("-")
        if first_word not in ENGLISH_WEEKDAYS or (last_word and last_word not in ENGLISH_WEEKDAYS):
            raise UnfitError(f'"{item}" is not a weekday or a range such as Mon..Fri')
        first = ENGLISH_WEEKDAYS[first_word]
        last = ENGLISH_WEEKDAYS[last_word] if last_word else first
        values.update(day % 7 for day in range(first, last + 1 + (7 if last < first else 0)))
    return tuple(Weekday(0, number) for number in sorted(values))
