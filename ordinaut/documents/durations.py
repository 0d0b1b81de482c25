"""Durations in the forms `90s`, `5m`, `1h30m`, `7d`, `500ms` and `PT1H`, converted to proto3 JSON."""

import re
from decimal import Decimal

UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_PART = re.compile(f"({_NUMBER})(ms|[smhdw])")
_WRITTEN = re.compile(f"-?(?:{_NUMBER}(?:ms|[smhdw]))+")
_ISO = re.compile(
    rf"-?P(?!$)(?:({_NUMBER})W)?(?:({_NUMBER})D)?(?:T(?=\d)(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?"
)
_ISO_UNITS = ("w", "d", "h", "m", "s")


def proto_duration(text: str) -> str | None:
    """Converts a duration to its proto3 JSON form (seconds, at most nine decimals); None if `text` is not a duration.

    ISO 8601 years and months are not accepted because their length varies.

    >>> proto_duration("1h30m")
    '5400s'
    >>> proto_duration("1.5s"), proto_duration("-250ms"), proto_duration("PT1H")
    ('1.5s', '-0.25s', '3600s')
    >>> proto_duration("P1M") is None
    True
    """
    iso = _ISO.fullmatch(text)
    if iso:
        parts = [(number, unit) for number, unit in zip(iso.groups(), _ISO_UNITS, strict=True) if number]
    elif _WRITTEN.fullmatch(text):
        parts = _PART.findall(text)
    else:
        return None
    milliseconds = sum((Decimal(number) * UNIT_MS[unit] for number, unit in parts), Decimal(0))
    seconds = round(milliseconds / 1000, 9)
    with_integers = f"{seconds:f}".rstrip("0").rstrip(".") if seconds % 1 else f"{seconds:.0f}"
    return f"{'-' if text.startswith('-') and seconds else ''}{with_integers}s"
