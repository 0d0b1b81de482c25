"""Durations and RFC 3339 timestamps: parsing, formatting and arithmetic."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ordinaut.clock import EPOCH, TICK
from ordinaut.expressions.errors import ExpressionError, Kind

MAX_DURATION = timedelta(days=36_600)
MAX_TIMESTAMP_LENGTH = 64
"""Characters of a string that is parsed as a timestamp."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_SHORT = re.compile(r"(?:\d{1,12}(?:\.\d{1,9})?(?:ms|[smhdw]))+", re.ASCII)
_ISO = re.compile(
    r"P(?!$)(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,12}(?:\.\d{1,9})?)S)?)?",
    re.ASCII,
)


def parse_duration(text: str) -> timedelta | None:
    """Parses `90s`, `5m`, `1h30m`, `7d` or `PT1H`; None if the text has another form or exceeds a century.

    >>> parse_duration("1h30m"), parse_duration("PT1H"), parse_duration("soon")
    (datetime.timedelta(seconds=5400), datetime.timedelta(seconds=3600), None)
    """
    if len(text) > 64:
        return None
    if _SHORT.fullmatch(text):
        return _bounded(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    iso = _ISO.fullmatch(text)
    if iso is None:
        return None
    sizes = (_UNITS["w"], _UNITS["d"], _UNITS["h"], _UNITS["m"], 1.0)
    return _bounded(sum(float(part) * size for part, size in zip(iso.groups(), sizes, strict=True) if part))


def _bounded(seconds: float) -> timedelta | None:
    return timedelta(seconds=seconds) if seconds <= MAX_DURATION.total_seconds() else None


def parse_timestamp(text: str) -> datetime:
    """Parses an RFC 3339 timestamp; the result is timezone-aware.

    Raises:
        ExpressionError: the text is not a timestamp, or has no offset.
    """
    try:
        time = datetime.fromisoformat(text if len(text) <= MAX_TIMESTAMP_LENGTH else "")
    except ValueError:
        raise ExpressionError(Kind.VALUE, f"{text[:64]!r} is not an RFC 3339 timestamp") from None
    if time.tzinfo is None:
        raise ExpressionError(
            Kind.VALUE, f"the timestamp must have an offset such as `Z` or `+01:00` (got {text[:64]!r})"
        )
    return time


def format_timestamp(time: datetime) -> str:
    """Formats as RFC 3339 in UTC with `Z`; without a fraction if it is zero."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def timestamp_of_us(microseconds: int) -> str:
    """Formats microseconds since 1970 UTC as RFC 3339."""
    return format_timestamp(EPOCH + microseconds * TICK)


def shifted(text: str, span: str, sign: int) -> str:
    """Adds `sign` times the duration `span` to the timestamp `text`.

    >>> shifted("2026-03-29T02:30:00+02:00", "1d", 1)
    '2026-03-30T00:30:00Z'

    Raises:
        ExpressionError: an argument is malformed, or the result is outside the years 1 to 9999.
    """
    duration = parse_duration(span)
    if duration is None:
        raise ExpressionError(Kind.VALUE, f"{span[:64]!r} is not a duration such as 90s, 1h30m or PT1H")
    try:
        return format_timestamp(parse_timestamp(text).astimezone(UTC) + sign * duration)
    except OverflowError:
        raise ExpressionError(Kind.VALUE, "the result must be in the years 1 to 9999") from None


def zone(name: str) -> ZoneInfo:
    """The IANA time zone with this name.

    Raises:
        ExpressionError: the name is unknown.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ExpressionError(Kind.VALUE, f"{name[:64]!r} is not an IANA time zone") from None
