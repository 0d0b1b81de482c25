"""Parses the text of an rrule trigger: an RRULE value, or the lines DTSTART, RRULE, RDATE, EXDATE.

Source: RFC 5545 §3.1 (content lines), §3.8.2.4, §3.8.5.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from datetime import time as clock_time
from zoneinfo import ZoneInfo

from ordinaut.limits import FIRST_YEAR, LAST_YEAR
from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.localtime.zone import zone
from scheduler.triggers.problem import Edit, ScheduleError
from scheduler.triggers.rrule.parse import Rule, invalid_rrule, parse_date_time, parse_rule
from scheduler.triggers.trigger import stamp

MAX_TEXT = 65_536
MAX_DATES = 1_000
_FOLD = re.compile(r"\r?\n[ \t]")
_PROPERTIES = ("DTSTART", "RRULE", "RDATE", "EXDATE")


@dataclass(frozen=True, slots=True)
class ListedDate:
    """One RDATE or EXDATE: naive in `where`, or in the schedule's zone when that is None; aware when written in UTC."""

    at: date | datetime
    where: str | None


@dataclass(slots=True)
class CalendarText:
    """The parts of the text. `zone_name` is the zone in DTSTART; `start` is local to it."""

    rule: Rule | None = None
    start: datetime | None = None
    zone_name: str | None = None
    added: list[ListedDate] = field(default_factory=list)
    excluded: list[ListedDate] = field(default_factory=list)


def parse_calendar_text(text: str) -> CalendarText:
    """The parts of an rrule trigger's text.

    Raises:
        ScheduleError: INVALID_RRULE or UNKNOWN_TIMEZONE.
    """
    if len(text) > MAX_TEXT:
        raise invalid_rrule(f"the rule must be at most {MAX_TEXT} characters (got {len(text)})")
    parts = CalendarText()
    for name, params, value in _lines(text):
        try:
            _READERS[name](parts, params, value)
        except ScheduleError as error:
            raise _with_whole_text(error, text, params.get("TZID", "")) from error
    if parts.rule is None and not (parts.start and parts.added):
        raise invalid_rrule("RRULE is missing; for a single time use `once`")
    return parts


def _with_whole_text(error: ScheduleError, text: str, zone_name: str) -> ScheduleError:
    """The error of a TZID with a repair or a question that contains the whole text instead of a zone alone."""
    if error.reason != ErrorReason.UNKNOWN_TIMEZONE:
        return error
    question = error.question
    if question is not None:
        choices = [replace(choice, edits=_in_text(choice.edits, text, zone_name)) for choice in question.choices]
        question = replace(question, choices=choices)
    repair = None if error.repair is None else _in_text(error.repair, text, zone_name)
    return ScheduleError(error.reason, error.message, repair=repair, explanation=error.explanation, question=question)


def _in_text(edits: Sequence[Edit], text: str, zone_name: str) -> list[Edit]:
    pattern = re.compile(rf"(TZID\s*=\s*\"?){re.escape(zone_name)}(?=\"?\s*[;:])", re.IGNORECASE)
    return [Edit(pattern.sub(rf"\g<1>{edit.value}", text)) for edit in edits]


def with_start(text: str, start: datetime, where: ZoneInfo) -> str:
    """The text with a DTSTART line added; `start` is naive local time in whole seconds."""
    line = f"DTSTART:{stamp(start)}Z" if where.key == "UTC" else f"DTSTART;TZID={where.key}:{stamp(start)}"
    lines = [f"{name}{params}:{value}" for name, params, value in _raw_lines(text)]
    return "\n".join([line, *lines])


def without_start(text: str) -> str:
    """The text without its DTSTART line."""
    return "\n".join(f"{name}{params}:{value}" for name, params, value in _raw_lines(text) if name != "DTSTART")


def start_line(text: str) -> str:
    """The DTSTART line of the text, or an empty text."""
    return next((f"{params}:{value}" for name, params, value in _raw_lines(text) if name == "DTSTART"), "")


def _raw_lines(text: str) -> Iterator[tuple[str, str, str]]:
    for line in _FOLD.sub("", text.strip()).splitlines():
        if not line.strip():
            continue
        head, colon, value = line.strip().partition(":")
        if not colon:
            head, value = "RRULE", line.strip()
        name, semicolon, params = head.partition(";")
        yield name.strip().upper(), semicolon + params, value.strip()


def _lines(text: str) -> Iterator[tuple[str, dict[str, str], str]]:
    names: set[str] = set()
    for name, raw, value in _raw_lines(text):
        if name not in _PROPERTIES:
            raise invalid_rrule(f'unknown property "{name[:40]}"; expected {", ".join(_PROPERTIES)}')
        if name in names and name in ("DTSTART", "RRULE"):
            raise invalid_rrule(f"{name} is given twice")
        names.add(name)
        yield name, _params(name, raw), value


def _params(name: str, raw: str) -> dict[str, str]:
    params: dict[str, str] = {}
    for param in raw.split(";")[1:]:
        key, equals, value = param.partition("=")
        key = key.strip().upper()
        if not equals or key not in ("TZID", "VALUE") or name == "RRULE" or key in params:
            raise invalid_rrule(f'unknown parameter "{param[:40]}" of {name}')
        params[key] = value.strip().strip('"')
    if params.get("VALUE", "DATE-TIME").upper() not in ("DATE", "DATE-TIME"):
        raise invalid_rrule(f"VALUE of {name} must be DATE or DATE-TIME (got {params['VALUE'][:40]})")
    return params


def _read_rule(parts: CalendarText, _params: dict[str, str], value: str) -> None:
    parts.rule = parse_rule(value)


def _read_start(parts: CalendarText, params: dict[str, str], value: str) -> None:
    start = _date_time("DTSTART", value, params)
    if not isinstance(start, datetime):
        start = datetime.combine(start, clock_time())
    if start.tzinfo is not None:
        parts.zone_name = "UTC"
    elif "TZID" in params:
        parts.zone_name = zone(params["TZID"]).key
    parts.start = start.replace(tzinfo=None)


def _date_time(name: str, value: str, params: dict[str, str]) -> date | datetime:
    time = parse_date_time(value)
    if not FIRST_YEAR <= time.year < LAST_YEAR:
        raise invalid_rrule(f"{name} must be in the years {FIRST_YEAR} to {LAST_YEAR - 1} (got {time.year})")
    if isinstance(time, datetime) and time.tzinfo is not None and "TZID" in params:
        raise ScheduleError(
            ErrorReason.TIMEZONE_CONFLICT,
            f"{name} is in UTC (Z) and must not have the zone {params['TZID'][:64]} as well",
        )
    return time


def _listed(name: str, params: dict[str, str], value: str) -> list[ListedDate]:
    where = zone(params["TZID"]).key if "TZID" in params else None
    return [ListedDate(_date_time(name, text.strip(), params), where) for text in value.split(",")]


def _read_added(parts: CalendarText, params: dict[str, str], value: str) -> None:
    parts.added.extend(_listed("RDATE", params, value))
    _check_number("RDATE", parts.added)
    if any(not isinstance(listed.at, datetime) for listed in parts.added):
        raise invalid_rrule("an RDATE needs a time of day, such as 20260131T090000")


def _read_excluded(parts: CalendarText, params: dict[str, str], value: str) -> None:
    parts.excluded.extend(_listed("EXDATE", params, value))
    _check_number("EXDATE", parts.excluded)


def _check_number(name: str, listed: list[ListedDate]) -> None:
    if len(listed) > MAX_DATES:
        raise invalid_rrule(f"at most {MAX_DATES} {name} values are allowed (got {len(listed)})")


_READERS = {"DTSTART": _read_start, "RRULE": _read_rule, "RDATE": _read_added, "EXDATE": _read_excluded}
