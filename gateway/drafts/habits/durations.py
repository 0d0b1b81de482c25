"""Durations as people write them: 30, "30 seconds", "1 day", "PT30S", "1h 30min"."""

import re
from typing import Any

from ordinaut.documents.durations import proto_duration

_WORDS = {
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds", "millis"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "secunde", "secundă", "secunda"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes", "minut"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "oră", "ora", "ore"), "h"),
    **dict.fromkeys(("d", "day", "days", "zi", "zile"), "d"),
    **dict.fromkeys(("w", "wk", "week", "weeks", "săptămână", "săptămâni", "saptamana", "saptamani"), "w"),
}
_NUMBERS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "five": 5,
    "ten": 10,
    "fifteen": 15,
    "thirty": 30,
    "half": 0.5,
}
_FRACTIONS = {"half": "0.5", "quarter": "0.25", "quarter of": "0.25", "three quarters of": "0.75"}
_FRACTION = re.compile(r"^(?:an? |1 )?(half|quarter of|quarter|three quarters of) (?:of )?an? (minute|hour|day|week)$")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-zăâîșț]+)")
_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d)")


def duration(value: Any, unit: str = "s") -> str | None:
    """A value as a duration; a number counts `unit`. None if it is none.

    >>> duration(30), duration("30 seconds"), duration("1 day"), duration("PT30S"), duration("90s"), duration("soon")
    ('30s', '30s', '1d', 'PT30S', '90s', None)
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return f"{value:g}{unit}" if value > 0 else None
    if isinstance(value, dict):
        return _object(value)
    return _text(value.strip(), unit) if isinstance(value, str) else None


def _object(value: dict[str, Any]) -> str | None:
    """`{minutes: 5}`, `{amount: 5, unit: minutes}`."""
    unit = value.get("unit", value.get("units"))
    number = next((value[key] for key in ("amount", "value", "duration", "interval", "every") if key in value), None)
    if isinstance(unit, str) and isinstance(number, int | float) and unit.lower() in _WORDS:
        return written_duration(f"{number}{_WORDS[unit.lower()]}")
    if not value or any(key.lower() not in _WORDS or not isinstance(item, int | float) for key, item in value.items()):
        return None
    return written_duration("".join(f"{item}{_WORDS[key.lower()]}" for key, item in value.items()))


def _text(text: str, unit: str) -> str | None:
    if proto_duration(text) is not None:
        return text
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return f"{text}{unit}"
    if (clock := _CLOCK.fullmatch(text)) is not None:
        return written_duration(f"{int(clock[1])}h{int(clock[2])}m{int(clock[3])}s")
    return _worded(text.lower())


def _worded(text: str) -> str | None:
    text = re.sub(r"^(?:for|in|after|every|each|la fiecare)\s+", "", text)
    text = _FRACTION.sub(lambda match: f"{_FRACTIONS[match[1] or '']} {match[2]}s", text)
    text = re.sub(r"^(\w+) and a half (\w+)$", lambda match: f"{_NUMBERS.get(match[1], match[1])}.5 {match[2]}", text)
    text = re.sub(r"^an? (\w+) and a half$", r"1.5 \1", text)
    first = text.split(" ")[0]
    if first in _NUMBERS and " " in text:
        text = f"{_NUMBERS[first]}{text[len(first) :]}"
    elif text in _WORDS and len(text) > 2:
        text = f"1 {text}"
    rest = _PART.sub("", text)
    parts = _PART.findall(text)
    if not parts or re.sub(r"\band\b|[\s,]|\bși\b", "", rest) or any(word not in _WORDS for _, word in parts):
        return None
    return written_duration("".join(f"{number}{_WORDS[word]}" for number, word in parts))


def written_duration(text: str) -> str:
    """A duration without parts that are zero; whole numbers without a point.

    >>> written_duration("0h30m0s"), written_duration("1.0h")
    ('30m', '1h')
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", text)
    kept = [f"{float(number):g}{unit}" for number, unit in parts if float(number)]
    return "".join(kept) or "0s"
