"""Durations and moments as people and JSON write them."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ordinaut.expressions.errors import ExpressionError, Kind

MAX_DURATION = timedelta(days=36_600)
MAX_TIMESTAMP_LENGTH = 64
"""Characters of a text that may be a time."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_SHORT = re.compile(r"(?:\d{1,12}(?:\.\d{1,9})?(?:ms|[smhdw]))+", re.ASCII)
_ISO = re.compile(
    r"P(?!$)(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?=\d)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,12}(?:\.\d{1,9})?)S)?)?",
    re.ASCII,
)


def parse_duration(text: str) -> timedelta | None:
    """A span written as `90s`, `5m`, `1h30m`, `7d` or `PT1H`; None when it is written otherwise or over a century."""
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
    """An RFC 3339 moment, aware.

    Raises:
        ExpressionError: it is not one, or has no offset.
    """
    try:
        time = datetime.fromisoformat(text if len(text) <= MAX_TIMESTAMP_LENGTH else "")
    except ValueError:
        raise ExpressionError(Kind.VALUE, f"{text[:64]!r} is not an RFC 3339 time") from None
    if time.tzinfo is None:
        raise ExpressionError(Kind.VALUE, f"{text[:64]!r} has no offset: add `Z` or `+01:00`")
    return time


def format_timestamp(time: datetime) -> str:
    """RFC 3339 in UTC with `Z`; a fraction only where there is one."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def timestamp_of_us(microseconds: int) -> str:
    """The RFC 3339 text of microseconds since 1970 UTC."""
    return format_timestamp(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds))


def shifted(text: str, span: str, sign: int) -> str:
    """The moment `text` moved by `sign` times the duration `span`.

    Raises:
        ExpressionError: one of them cannot be read, or the result lies outside of the years 1 to 9999.
    """
    duration = parse_duration(span)
    if duration is None:
        raise ExpressionError(Kind.VALUE, f"{span[:64]!r} is not a duration such as 90s, 1h30m or PT1H")
    try:
        return format_timestamp(parse_timestamp(text).astimezone(UTC) + sign * duration)
    except OverflowError:
        raise ExpressionError(Kind.VALUE, "the time lies outside of the years 1 to 9999") from None


def zone(name: str) -> ZoneInfo:
    """The IANA zone of that name.

    Raises:
        ExpressionError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ExpressionError(Kind.VALUE, f"{name[:64]!r} is not an IANA time zone") from None
