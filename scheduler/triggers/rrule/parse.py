"""Parses the value of an RRULE property into a checked rule. Source: RFC 5545 §3.3.10, RFC 7529 §4 (RSCALE, SKIP)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import IntEnum, StrEnum

from ordinaut.limits import FIRST_YEAR
from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.problem import ScheduleError

MAX_COUNT = 10_000
MAX_INTERVAL = 100_000_000
_MAX_VALUES = 732  # both signs of every day of the year
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_ORDINAL_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_DATE_TIME = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z?))?", re.ASCII)
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}", re.ASCII)


class Frequency(IntEnum):
    """FREQ, from the longest period to the shortest."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


class Skip(StrEnum):
    """SKIP of RFC 7529: what becomes of a day that its month does not have."""

    OMIT = "OMIT"
    """It is left out, as without SKIP."""
    BACKWARD = "BACKWARD"
    """The day before it that exists: the last one of the month."""
    FORWARD = "FORWARD"
    """The day after it that exists: the first one of the next month."""


@dataclass(frozen=True, slots=True)
class Weekday:
    """A BYDAY value: Monday is 0; `nth` is 0 for every such weekday, negative from the end."""

    nth: int
    number: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A checked recurrence rule; absent parts are empty, `until` is naive, aware or a date as in the text."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: date | datetime | None = None
    week_start: int = 0
    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[Weekday, ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    skip: Skip = Skip.OMIT

    @property
    def moves_days(self) -> bool:
        """Whether days that a month does not have are moved and not left out."""
        return self.skip is not Skip.OMIT and bool(self.month_days)


def invalid_rrule(message: str) -> ScheduleError:
    """An INVALID_RRULE error with that message."""
    return ScheduleError(ErrorReason.INVALID_RRULE, message)


def parse_date_time(text: str) -> date | datetime:
    """An iCalendar DATE, local DATE-TIME (naive) or UTC DATE-TIME (aware).

    Raises:
        ScheduleError: INVALID_RRULE.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise invalid_rrule(f'"{text[:40]}" is not a time such as 20260131T090000 or 20260131T090000Z')
    year, month, day, hour, minute, second, utc = match.groups()
    try:
        day_of_year = date(int(year), int(month), int(day))
        if hour is None:
            return day_of_year
        # RFC 5545 §3.3.12: where leap seconds are not supported, 60 means 59.
        whole = 59 if second == "60" else int(second)
        clock_time = time(int(hour), int(minute), whole, tzinfo=UTC if utc else None)
    except ValueError as error:
        raise invalid_rrule(f'"{text}" is not a time: {error}') from error
    return datetime.combine(day_of_year, clock_time)


def parse_rule(value: str) -> Rule:
    """The rule of an RRULE value.

    >>> rule = parse_rule("FREQ=MONTHLY;BYDAY=-1FR;COUNT=3")
    >>> rule.frequency.name, rule.weekdays, rule.count
    ('MONTHLY', (Weekday(nth=-1, number=4),), 3)
    >>> parse_rule("FREQ=DAILY;COUNT=3;UNTIL=20261231")
    Traceback (most recent call last):
    scheduler.triggers.problem.ScheduleError: COUNT and UNTIL exclude each other

    Raises:
        ScheduleError: INVALID_RRULE, naming the part.
    """
    parts = _parts(value)
    if "FREQ" not in parts:
        raise invalid_rrule("FREQ is missing; expected one of " + ", ".join(Frequency.__members__))
    if parts["FREQ"] not in Frequency.__members__:
        raise invalid_rrule(f'FREQ must be one of {", ".join(Frequency.__members__)} (got "{parts["FREQ"][:40]}")')
    fields: dict[str, object] = {
        field: read(name, parts[name]) for name, (field, read) in _READERS.items() if name in parts
    }
    if parts.get("RSCALE", "GREGORIAN") != "GREGORIAN":
        raise invalid_rrule(f'RSCALE must be GREGORIAN (got "{parts["RSCALE"][:40]}")')
    rule = Rule(Frequency[parts["FREQ"]], **fields)  # type: ignore[arg-type] # each reader fits its field
    _check_together(rule)
    return rule


def _parts(value: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for part in value.strip().removesuffix(";").split(";"):
        name, equals, text = part.partition("=")
        name = name.strip().upper()
        if not equals or (name not in _READERS and name not in ("FREQ", "RSCALE")):
            raise invalid_rrule(f'unknown part "{part[:40]}"; expected FREQ, {", ".join(_READERS)}')
        if name in parts:
            raise invalid_rrule(f"{name} is given twice")
        parts[name] = text.strip().upper()
    return parts


def _integer(name: str, text: str, low: int, high: int) -> int:
    if not _INTEGER.fullmatch(text) or not low <= int(text) <= high:
        raise invalid_rrule(f'{name} must be a whole number from {low} to {high} (got "{text[:40]}")')
    return int(text)


def _list(name: str, text: str) -> list[str]:
    values = text.split(",")
    if len(values) > _MAX_VALUES:
        raise invalid_rrule(f"{name} must have at most {_MAX_VALUES} values (got {len(values)})")
    return values


def _bounded(low: int, high: int) -> Callable[[str, str], int]:
    return lambda name, text: _integer(name, text, low, high)


def _listed(low: int, high: int, *, signed: bool = False) -> Callable[[str, str], tuple[int, ...]]:
    def read(name: str, text: str) -> tuple[int, ...]:
        values = {_integer(name, value, -high if signed else low, high) for value in _list(name, text)}
        if signed and 0 in values:
            raise invalid_rrule(f"{name} counts from 1, or from -1 backwards; 0 is not allowed")
        return tuple(sorted(values))

    return read


def _seconds(name: str, text: str) -> tuple[int, ...]:
    """RFC 5545 §3.3.12: where leap seconds are not supported, 60 means 59."""
    return tuple(sorted({min(second, 59) for second in _listed(0, 60)(name, text)}))


def _until(name: str, text: str) -> date | datetime:
    try:
        until = parse_date_time(text)
    except ScheduleError as problem:
        raise invalid_rrule(f"{name}: {problem.message}") from problem
    if until.year < FIRST_YEAR:
        raise invalid_rrule(f"{name} must be in the year {FIRST_YEAR} or later (got {until.year})")
    return until


def _skip(name: str, text: str) -> Skip:
    if text not in Skip.__members__:
        raise invalid_rrule(f'{name} must be one of {", ".join(Skip)} (got "{text[:40]}")')
    return Skip(text)


def _weekday(name: str, text: str) -> int:
    if text not in WEEKDAYS:
        raise invalid_rrule(f'{name} must be one of {", ".join(WEEKDAYS)} (got "{text[:40]}")')
    return WEEKDAYS.index(text)


def _weekdays(name: str, text: str) -> tuple[Weekday, ...]:
    weekdays = set()
    for value in _list(name, text):
        match = _ORDINAL_DAY.fullmatch(value)
        nth = int(match[1]) if match and match[1] else 0
        if match is None or abs(nth) > 53 or (match[1] and nth == 0):
            raise invalid_rrule(f'{name}: "{value[:40]}" is not a weekday such as MO, 1FR or -1SU')
        weekdays.add(Weekday(nth, WEEKDAYS.index(match[2])))
    return tuple(sorted(weekdays, key=lambda day: (day.number, day.nth)))


_READERS: dict[str, tuple[str, Callable[[str, str], object]]] = {
    "INTERVAL": ("interval", _bounded(1, MAX_INTERVAL)),
    "COUNT": ("count", _bounded(1, MAX_COUNT)),
    "UNTIL": ("until", _until),
    "WKST": ("week_start", _weekday),
    "BYMONTH": ("months", _listed(1, 12)),
    "BYWEEKNO": ("weeks", _listed(1, 53, signed=True)),
    "BYYEARDAY": ("year_days", _listed(1, 366, signed=True)),
    "BYMONTHDAY": ("month_days", _listed(1, 31, signed=True)),
    "BYDAY": ("weekdays", _weekdays),
    "BYHOUR": ("hours", _listed(0, 23)),
    "BYMINUTE": ("minutes", _listed(0, 59)),
    "BYSECOND": ("seconds", _seconds),
    "BYSETPOS": ("positions", _listed(1, 366, signed=True)),
    "SKIP": ("skip", _skip),
}


def _check_together(rule: Rule) -> None:
    """Refuses combinations that RFC 5545 §3.3.10 forbids."""
    frequency = rule.frequency
    ordinal = any(day.nth for day in rule.weekdays)
    by_days = (rule.months, rule.weeks, rule.year_days, rule.month_days, rule.weekdays)
    by_clock = (rule.hours, rule.minutes, rule.seconds)
    refused = {
        "SKIP=BACKWARD and SKIP=FORWARD need FREQ=MONTHLY or YEARLY": rule.skip is not Skip.OMIT
        and frequency > Frequency.MONTHLY,
        "COUNT and UNTIL exclude each other": rule.count is not None and rule.until is not None,
        "BYSETPOS needs another BY part to select from": bool(rule.positions) and not any(by_days + by_clock),
        "BYWEEKNO needs FREQ=YEARLY": bool(rule.weeks) and frequency != Frequency.YEARLY,
        "BYYEARDAY is not allowed with FREQ=MONTHLY, WEEKLY or DAILY": bool(rule.year_days)
        and Frequency.MONTHLY <= frequency <= Frequency.DAILY,
        "BYMONTHDAY is not allowed with FREQ=WEEKLY": bool(rule.month_days) and frequency == Frequency.WEEKLY,
        "a numbered BYDAY such as 1MO needs FREQ=MONTHLY or YEARLY": ordinal and frequency > Frequency.MONTHLY,
        "a numbered BYDAY is not allowed with BYWEEKNO": ordinal and bool(rule.weeks),
    }
    for message, holds in refused.items():
        if holds:
            raise invalid_rrule(message)
