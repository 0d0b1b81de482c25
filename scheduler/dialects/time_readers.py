"""Reads single times, rules, spans, repeating intervals and calendar events."""

import re
from datetime import UTC, datetime, timedelta

from scheduler.dialects.context import Context, sole
from scheduler.dialects.on_calendar import instant_of, on_calendar, once_in_zone
from scheduler.dialects.phrases.clauses import ADVERBS
from scheduler.dialects.spans import every, repeating
from scheduler.dialects.translation import Certainty, Reading, TimeText, Translation
from scheduler.dialects.words import ENGLISH_WEEKDAYS
from scheduler.dialects.writing import write
from scheduler.triggers.localtime.zone import zone as zone_of
from scheduler.triggers.once import parse_once
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.lines import parse_calendar_text
from scheduler.triggers.rrule.parse import WEEKDAYS as RULE_DAYS

_TIME = re.compile(
    r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}[Tt ][0-9]{2}:?[0-9]{2}(?::?[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?:[Zz]|[+-][0-9]{2}(?::?[0-5][0-9])?)?(?: ?\[[A-Za-z_/+-]+\]| [A-Za-z_]+(?:/[A-Za-z_/+-]+)*)?",
    re.ASCII,
)
_ZONE_BEHIND = re.compile(r" ?\[?([A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+|(?<= |\[)UTC)\]?$")
_BY_DAY = re.compile(r"\bBYDAY=([^;]+)", re.IGNORECASE)
_NAMES = re.compile(r"[A-Za-z]{3,}")


def once_of(text: str) -> TimeText | None:
    """A time in one of the forms of ISO 8601, also `20260701T120000Z` and with a zone behind it."""
    if not _TIME.fullmatch(text):
        return None
    written, name = _ZONE_BEHIND.sub("", text), _ZONE_BEHIND.search(text)
    try:
        time = datetime.fromisoformat(written.upper())
        if name and time.tzinfo is None:
            return instant_of(time, zone_of(name[1]).key)
        parse_once(time.isoformat())
    except (ValueError, ScheduleError):
        return None
    return TimeText("once", time.isoformat())


def single_time(text: str, _context: Context) -> Translation | None:
    """Reads a single time."""
    return sole(once_of(text), "a time")


def rule(text: str, _context: Context) -> Translation | None:
    """A rule in the field of another kind, with blanks between its parts, or with names of days such as `MON`."""
    if "FREQ=" not in text.upper() or "DTSTART" in text.upper():
        return None
    joined = re.sub(r"\s*;\s*|\s+", ";", re.sub(r"\s*,\s*", ",", text.strip()))
    rule = _BY_DAY.sub(lambda match: "BYDAY=" + _NAMES.sub(_short_name, match[1]), joined)
    try:
        parse_calendar_text(rule)
    except ScheduleError:
        return None
    return sole(TimeText("rrule", rule), "iCalendar")


def _short_name(match: re.Match[str]) -> str:
    number = ENGLISH_WEEKDAYS.get(match[0].lower())
    return match[0] if number is None else RULE_DAYS[number]


def span(text: str, context: Context) -> Translation | None:
    """Reads a fixed span such as `@every 1h30m`; in `once` a span without `every` may be a time from now on.

    Raises:
        InexpressibleError: the span is out of range.
    """
    trigger = every(text)
    if trigger is None or context.field != "once" or text.lower().startswith(("@every", "rate")):
        return sole(trigger, "a duration")
    at = (context.now.astimezone(UTC) + timedelta(seconds=int(trigger.value[:-1]))).replace(microsecond=0)
    once = Reading("once", "once", TimeText("once", f"{at:%Y-%m-%dT%H:%M:%S}Z"))
    readings = (once, Reading("every", "again and again", trigger))
    return Translation(Certainty.ASK, readings, "Does it run once, or repeatedly?", default="once")


def repeating_interval(text: str, context: Context) -> Translation | None:
    """Reads `R5/2026-01-01T00:00:00Z/PT1H`.

    Raises:
        InexpressibleError: a rule cannot express it.
    """
    return sole(repeating(text, context.local if context.where else context.now, context.where), "ISO 8601")


def calendar_event(text: str, context: Context) -> Translation | None:
    """Reads a calendar event of systemd.

    Raises:
        InexpressibleError: a value of it is out of range, or a trigger cannot express it.
    """
    if text.lower() in ADVERBS:
        return None  # weekly is Monday there and Sunday in crontab: the phrase decides
    event = on_calendar(text)
    if event is None:
        return None
    calendar, name = event
    once = once_in_zone(calendar, name)
    return sole(once or write(calendar, context.local), "systemd's OnCalendar", "" if once else name)
