"""Parses a cron expression: five fields as in Vixie's crontab(5), or a nickname."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.problem import ScheduleError

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MAX_LENGTH = 512
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ITEM = re.compile(r"(?:(\*)|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Field:
    """Name and bounds of one field; `names` count from `first_name`."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first_name: int = 0


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS, 1),
    _Field("day of week", 0, 7, _WEEKDAYS, 0),
)


@dataclass(frozen=True, slots=True)
class CronFields:
    """A cron expression as sorted values; weekdays count from Sunday = 0.

    `any_day` and `any_weekday`: the field begins with `*`, as in `*/2`, so a day must match both fields; if neither
    does, a day must match one of them. `real_time`: minute or hour begins with `*`.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    any_day: bool
    any_weekday: bool
    real_time: bool


def parse_cron(text: str) -> CronFields:
    """The fields of a cron expression.

    >>> fields = parse_cron("*/20 9-17 * * mon-fri")
    >>> fields.minutes, fields.weekdays
    ((0, 20, 40), (1, 2, 3, 4, 5))
    >>> parse_cron("@weekly") == parse_cron("0 0 * * 7")
    True
    >>> parse_cron("5/15 * * * *")
    Traceback (most recent call last):
    scheduler.triggers.problem.ScheduleError: "5/15" in the field minute: a step needs a range; write 5-59/15

    Raises:
        ScheduleError: INVALID_CRON, naming the field.
    """
    if len(text) > _MAX_LENGTH:
        raise _invalid(f"a cron expression must be at most {_MAX_LENGTH} characters (got {len(text)})")
    words = _words(text)
    minutes, hours, days, months, weekdays = (
        _values(field, word.lower()) for field, word in zip(_FIELDS, words, strict=True)
    )
    return CronFields(
        minutes,
        hours,
        days,
        months,
        tuple(sorted({weekday % 7 for weekday in weekdays})),
        any_day=words[2].startswith("*"),
        any_weekday=words[4].startswith("*"),
        real_time=words[0].startswith("*") or words[1].startswith("*"),
    )


def stepped_items(text: str) -> Iterator[tuple[str, str, range]]:
    """The items with a step of an accepted expression: the name of the field, the item, and its values.

    >>> list(stepped_items("*/20 9-17/4 * * *"))
    [('minute', '*/20', range(0, 60, 20)), ('hour', '9-17/4', range(9, 18, 4))]
    """
    for field, word in zip(_FIELDS, _words(text), strict=True):
        for item in word.lower().split(","):
            if "/" in item:
                yield field.name, item, _item(field, item)


def _words(text: str) -> list[str]:
    if not text.isascii() or any(ord(char) < 32 and char != "\t" for char in text):
        raise _invalid("a cron expression must be one line of ASCII characters")
    words = text.split()
    if len(words) == 1 and words[0].startswith("@"):
        nickname = words[0].lower()
        if nickname not in NICKNAMES:
            raise _invalid(f'unknown nickname "{words[0]}"; expected one of {", ".join(NICKNAMES)}')
        return NICKNAMES[nickname].split()
    if len(words) != len(_FIELDS):
        raise _invalid(f"expected five fields (minute, hour, day of month, month, day of week), got {len(words)}")
    return words


def _values(field: _Field, word: str) -> tuple[int, ...]:
    values: set[int] = set()
    for item in word.split(","):
        values.update(_item(field, item))
    return tuple(sorted(values))


def _item(field: _Field, item: str) -> range:
    """The values of one part of a list: `*`, `5`, `1-5`, each of the first and last with `/step`."""
    match = _ITEM.fullmatch(item)
    if match is None:
        raise _invalid(
            f'"{item}" in the field {field.name} is not *, a value, a range or a step',
        )
    star, low_word, high_word, step_word = match.groups()
    low = field.low if star else _value(field, low_word)
    high = _end(field, low, low_word, high_word)
    if step_word is None:
        return range(low, high + 1)
    if not star and high_word is None:
        raise _invalid(
            f'"{item}" in the field {field.name}: a step needs a range; write {low}-{field.high}/{step_word}',
        )
    if int(step_word) == 0:
        raise _invalid(f'"{item}" in the field {field.name}: a step must be at least 1')
    return range(low, high + 1, int(step_word))


def _end(field: _Field, low: int, low_word: str | None, high_word: str | None) -> int:
    if low_word is None:
        return 6 if field.names is _WEEKDAYS else field.high
    if high_word is None:
        return low
    high = _value(field, high_word)
    if field.names is _WEEKDAYS and "sun" in (low_word, high_word) and high % 7 == 0:
        high = 7 if low > 0 else 0  # as an end, Sunday closes the week: fri-sun; sun-sun is one day
    if high < low:
        raise _invalid(f"the range {low}-{high} in the field {field.name} runs backwards")
    return high


def _value(field: _Field, word: str) -> int:
    if word in field.names:
        return field.names.index(word) + field.first_name
    if not word.isdigit() or not field.low <= int(word) <= field.high:
        raise _invalid(f'"{word}" in the field {field.name} is not in {field.low}-{field.high}')
    return int(word)


def _invalid(message: str) -> ScheduleError:
    return ScheduleError(ErrorReason.INVALID_CRON, message)
