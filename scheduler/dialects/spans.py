"""Fixed spans of time: `@every 1h30m`, `rate(5 minutes)`, `PT15M`, `90s`, `1h 30min`; and repeating ISO 8601 intervals.

Sources: Go's time.ParseDuration, Amazon EventBridge (rate expressions), ISO 8601-1 §5.6, systemd.time(7).
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from ordinaut.limits import FIRST_YEAR, LAST_YEAR
from scheduler.dialects.translation import InexpressibleError, TimeText
from scheduler.triggers.interval import MAX_INTERVAL
from scheduler.triggers.localtime.zone import local_time, resolve
from scheduler.triggers.trigger import stamp

_SECONDS = {
    "ms": Fraction(1, 1000), "us": Fraction(1, 10**6), "ns": Fraction(1, 10**9), "s": Fraction(1),
    "m": Fraction(60), "h": Fraction(3600), "d": Fraction(86_400), "w": Fraction(604_800),
}  # fmt: skip
_NAMES = {
    "millisecond": "ms", "msec": "ms", "second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "hr": "h",
    "day": "d", "week": "w",
}  # fmt: skip
_UNITS = {**{name: name for name in _SECONDS}, **_NAMES, **{f"{name}s": unit for name, unit in _NAMES.items()}}
_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?)\s*([a-zµ]{1,12})\s*", re.IGNORECASE)
_RATE = re.compile(r"rate\(\s*([0-9]{1,9})\s+(minutes?|hours?|days?)\s*\)", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(
    r"P(?=.)(?:(\d{1,4})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?=.)(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?",
    re.ASCII | re.IGNORECASE,
)
_REPEATING = re.compile(r"R(-1|\d{0,5})/(?:([^/]+)/)?([^/]+)", re.ASCII | re.IGNORECASE)
_TIME = re.compile(r"\d{4}-?\d{2}-?\d{2}(T\d{2}:?\d{2}(:?\d{2})?(Z|[+-]\d{2}(:?[0-5]\d)?)?)?", re.ASCII | re.IGNORECASE)
_MAX_COUNT = 10_000
_MAX_SECONDS = MAX_INTERVAL // timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class _Duration:
    """An ISO 8601 duration: calendar months, calendar days, seconds."""

    months: int
    days: int
    seconds: int


def every(text: str) -> TimeText | None:
    """The interval that the text names, or None if it names none.

    >>> every("@every 1h30m"), every("rate(1 day)"), every("PT15M")
    (TimeText(kind='interval', value='5400s'), TimeText(kind='interval', value='86400s'), \
TimeText(kind='interval', value='900s'))

    Raises:
        InexpressibleError: it is not a whole number of seconds from one second to a hundred years.
    """
    if text.lower().startswith("@every"):
        seconds = seconds_of(text[len("@every") :].strip())
        if seconds is None:
            raise InexpressibleError("@every needs a duration such as @every 1h30m")
        return _interval(seconds)
    if rate := _RATE.fullmatch(text):
        return _interval(int(rate[1]) * _SECONDS[_UNITS[rate[2].lower()]])
    if (duration := _duration(text)) is not None:
        if duration.months:
            raise InexpressibleError("a duration of months or years is not a fixed span; use R/<start>/P1M or a rule")
        return _interval(Fraction(duration.days * 86_400 + duration.seconds))
    seconds = seconds_of(text)
    return None if seconds is None else _interval(seconds)


def seconds_of(text: str) -> Fraction | None:
    """The length of a sum of amounts with units such as `1h30m`, `1.5h` or `2 hours 5 min`; None if it is not one.

    `M` is a month to some readers and a minute to others, so that it is none.
    """
    total, place = Fraction(), 0
    while place < len(text):
        match = _AMOUNT.match(text, place)
        unit = _UNITS.get(match[2].lower().replace("µ", "u")) if match else None
        if match is None or unit is None or match[2] == "M":
            return None
        total += Fraction(match[1].rstrip(".")) * _SECONDS[unit]
        place = match.end()
    return total if text else None


def _interval(seconds: Fraction) -> TimeText:
    if seconds.denominator != 1 or not 1 <= seconds <= _MAX_SECONDS:
        raise InexpressibleError(
            f"an interval must be a whole number of seconds from 1 to {_MAX_SECONDS} (got {float(seconds):.12g})"
        )
    return TimeText("interval", f"{seconds}s")


def _duration(text: str) -> _Duration | None:
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    years, months, weeks, days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return _Duration(years * 12 + months, weeks * 7 + days, hours * 3600 + minutes * 60 + seconds)


def repeating(text: str, now: datetime, where: ZoneInfo | None) -> TimeText | None:
    """The trigger of an ISO 8601 repeating interval, or None if the text is not one.

    Times with an offset stay instants: in the local time of `where`, or in UTC if that is None.

    Raises:
        InexpressibleError: it has no finite length, or a rule cannot express it.
    """
    match = _REPEATING.fullmatch(text.replace(" ", ""))
    if match is None:
        return None
    count_word, start_word, length_word = match.groups()
    count = None if count_word in ("", "-1") else int(count_word)
    if count is not None and not 1 <= count <= _MAX_COUNT:
        raise InexpressibleError(f"R{count} repeats {count} times; expected 1 to {_MAX_COUNT}, or R without a number")
    start = _time(start_word) if start_word else None
    duration = _duration(length_word) or (_between(start, _time(length_word)) if start else None)
    if duration is None or duration == _Duration(0, 0, 0):
        raise InexpressibleError(
            "a repeating interval is R<count>/<start>/<duration>, such as R5/2026-01-01T00:00Z/PT1H"
        )
    if start is None and count is None:
        return every(length_word)
    if start is None:
        start = now.replace(microsecond=0) + timedelta(seconds=1)
    return TimeText("rrule", _rule(start, duration, count, where))


def _time(word: str) -> datetime:
    if not _TIME.fullmatch(word):
        raise InexpressibleError(f'"{word[:40]}" is not a time such as 2026-01-01T00:00:00Z')
    try:
        time = datetime.fromisoformat(word.upper())
    except ValueError as error:
        raise InexpressibleError(f'"{word[:40]}" is not a time: {error}') from error
    if not FIRST_YEAR < time.year < LAST_YEAR:
        raise InexpressibleError(f"a year must be between {FIRST_YEAR} and {LAST_YEAR} (got {time.year})")
    return time


def _between(start: datetime, end: datetime) -> _Duration:
    if (start.tzinfo is None) != (end.tzinfo is None) or end <= start:
        raise InexpressibleError("the end of the interval must be after its start, and in the same form")
    return _Duration(0, 0, round((end - start).total_seconds()))


def _rule(start: datetime, duration: _Duration, count: int | None, where: ZoneInfo | None) -> str:
    suffix = f";COUNT={count}" if count else ""
    if start.tzinfo is None:
        return f"DTSTART:{stamp(start)}\nRRULE:{_calendar(start, duration)}{suffix}"
    in_utc = start.astimezone(UTC)
    if where is None or where.key == "UTC":
        return f"DTSTART:{stamp(in_utc)}\nRRULE:{_calendar(in_utc, duration)}{suffix}"
    if duration.months:
        raise InexpressibleError("months that are counted in UTC need a schedule with time_zone UTC")
    local = local_time(in_utc, where).replace(fold=0)
    if resolve(local, where).first != in_utc:
        raise InexpressibleError("its start is at a local time that clocks repeat; use a start with another hour")
    rule = _elapsed(duration.days * 86_400 + duration.seconds)
    return f"DTSTART:{stamp(local)}\nRRULE:{rule}{suffix}"


def _calendar(start: datetime, duration: _Duration) -> str:
    """Days and months of local time where the duration has only them, else elapsed time."""
    if duration.months and not duration.days and not duration.seconds:
        if start.day > 28:
            raise InexpressibleError(f"day {start.day} does not exist in every month; use a rule with BYMONTHDAY")
        years, months = divmod(duration.months, 12)
        return _each("MONTHLY", duration.months) if months else _each("YEARLY", years)
    if duration.months:
        raise InexpressibleError("a duration of months together with days or hours is not supported")
    if duration.days and not duration.seconds:
        return _each("DAILY", duration.days)
    return _elapsed(duration.days * 86_400 + duration.seconds)


def _elapsed(seconds: int) -> str:
    name, size = next(unit for unit in (("HOURLY", 3600), ("MINUTELY", 60), ("SECONDLY", 1)) if seconds % unit[1] == 0)
    return _each(name, seconds // size)


def _each(frequency: str, number: int) -> str:
    return f"FREQ={frequency}" if number == 1 else f"FREQ={frequency};INTERVAL={number}"
