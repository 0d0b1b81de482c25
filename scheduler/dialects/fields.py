"""Parses one field of a cron expression of any dialect into values."""

import re
from dataclasses import dataclass, field, replace

from scheduler.dialects.words import MONTHS, WEEKDAYS, plain
from scheduler.triggers.rrule.parse import Weekday

_ITEM = re.compile(r"(?:(\*)|([0-9]{1,4}|[a-z]{2,10})(?:-([0-9]{1,4}|[a-z]{2,10}))?)?(?:/([0-9]{1,4}))?", re.ASCII)
_LAST_DAY = re.compile(r"l(?:-([0-9]{1,2}))?", re.ASCII)
_NEAREST = re.compile(r"([0-9]{1,2})w", re.ASCII)
_NUMBERED = re.compile(r"([0-9]|[a-z]{3,10})(?:#([1-5])|(l))", re.ASCII)


class UnfitError(ValueError):
    """The text is not of this dialect; the message names the field and the item."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Name and limits of a field; `high` is also the end of an open step such as `5/10`."""

    name: str
    low: int
    high: int


SECOND, MINUTE, HOUR = Bounds("second", 0, 59), Bounds("minute", 0, 59), Bounds("hour", 0, 23)
DAY, MONTH, YEAR = Bounds("day of month", 1, 31), Bounds("month", 1, 12), Bounds("year", 1970, 2199)


@dataclass(frozen=True, slots=True)
class Numbering:
    """How a dialect counts weekdays.

    `sunday`: the number of Sunday, 0 (7 is Sunday as well) or 1. `first`, `last`: the values of `*` when it has a step,
    and the end of an open step. `alone`: `L` alone means Saturday.
    """

    sunday: int
    first: int
    last: int
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Days:
    """The values of a day field; `star`: it begins with `*` or is `?`; `nearest` as in Calendar."""

    values: frozenset[int] = field(default_factory=frozenset)
    weekdays: frozenset[Weekday] = field(default_factory=frozenset)
    nearest: frozenset[int] = field(default_factory=frozenset)
    star: bool = False


def values_of(word: str, bounds: Bounds) -> tuple[int, ...]:
    """The sorted values of a field; a range whose end is before its start continues at the lowest value.

    >>> values_of("22-2", HOUR)
    (0, 1, 2, 22, 23)

    Raises:
        UnfitError: the text is not a field with these bounds.
    """
    values: set[int] = set()
    for item in plain(word).split(","):
        values.update(_values(item, bounds))
    return tuple(sorted(values))


def _values(item: str, bounds: Bounds) -> list[int]:
    match = _ITEM.fullmatch(item)
    if match is None or not item or (item.startswith("/") and bounds.name == "year"):
        raise UnfitError(f'"{item}" is not a value of the field {bounds.name}')
    star, first_word, last_word, step_word = match.groups()
    step = _step(step_word, item, bounds)
    if star or first_word is None:
        return list(range(bounds.low, bounds.high + 1, step))
    first = _number(first_word, bounds)
    if last_word is None:
        return list(range(first, bounds.high + 1, step)) if step_word else [first]
    last = _number(last_word, bounds)
    if last >= first:
        return list(range(first, last + 1, step))
    if bounds.name == "year":
        raise UnfitError(f'the range "{item}" of years runs backwards')
    size = bounds.high - bounds.low + 1
    return [(value - bounds.low) % size + bounds.low for value in range(first, last + size + 1, step)]


def _step(word: str | None, item: str, bounds: Bounds) -> int:
    if word is None:
        return 1
    if not 1 <= int(word) <= bounds.high:
        raise UnfitError(f'the step of "{item}" in the field {bounds.name} must be 1 to {bounds.high}')
    return int(word)


def _number(word: str, bounds: Bounds) -> int:
    if bounds.name == "month" and word in MONTHS:
        return MONTHS[word]
    if not word.isdigit() or not bounds.low <= int(word) <= bounds.high:
        raise UnfitError(f'"{word}" in the field {bounds.name} is not in {bounds.low}-{bounds.high}')
    return int(word)


def month_days(word: str, *, letters: bool, question: bool) -> Days:
    """The field day of month; `letters` allows L, L-3, 15W and LW, `question` allows `?`.

    Raises:
        UnfitError: the text is not such a field.
    """
    if question and word == "?":
        return Days(star=True)
    if word == "*":
        return Days(star=True)
    days = Days(star=word.startswith("*"))
    for item in plain(word).split(","):
        last, nearest = _LAST_DAY.fullmatch(item), _NEAREST.fullmatch(item)
        if letters and last and int(last[1] or 0) < 31:
            days = replace(days, values=days.values | {-1 - int(last[1] or 0)})
        elif letters and item == "lw":
            days = replace(days, nearest=days.nearest | {-1})
        elif letters and nearest and 1 <= int(nearest[1]) <= 31:
            days = replace(days, nearest=days.nearest | {int(nearest[1])})
        else:
            days = replace(days, values=days.values | set(_values(item, DAY)))
    return days


def weekdays(word: str, numbering: Numbering, *, letters: bool, question: bool) -> Days:
    """The field day of week; `letters` allows 5L, MON#1 and, if the numbering has it, L.

    Raises:
        UnfitError: the text is not such a field.
    """
    if word == "*" or (question and word == "?"):
        return Days(star=True)
    days: set[Weekday] = set()
    for item in plain(word).split(","):
        numbered = _NUMBERED.fullmatch(item)
        if letters and numbered:
            nth = -1 if numbered[3] else int(numbered[2])
            days.add(Weekday(nth, _monday_first(_weekday(numbered[1], numbering), numbering)))
        elif letters and numbering.alone and item == "l":
            days.add(Weekday(0, 5))
        else:
            days.update(Weekday(0, number) for number in _plain_weekdays(item, numbering))
    return Days(weekdays=frozenset(days), star=word.startswith("*"))


def _plain_weekdays(item: str, numbering: Numbering) -> list[int]:
    match = _ITEM.fullmatch(item)
    if match is None or not item:
        raise UnfitError(f'"{item}" is not a value of the field day of week')
    star, first_word, last_word, step_word = match.groups()
    step = _step(step_word, item, Bounds("day of week", 1, 7))
    if star or first_word is None:
        return [_monday_first(day, numbering) for day in range(numbering.first, numbering.last + 1, step)]
    first = _weekday(first_word, numbering)
    if last_word is not None:
        last = _weekday(last_word, numbering)
        last += 7 if last < first else 0
    else:
        last = numbering.last if step_word else first
    return [_monday_first(day, numbering) for day in range(first, last + 1, step)]


def _weekday(word: str, numbering: Numbering) -> int:
    if word in WEEKDAYS:
        return (WEEKDAYS[word] + 1) % 7 + numbering.sunday
    high = 7
    if not word.isdigit() or not numbering.sunday <= int(word) <= high:
        raise UnfitError(f'"{word}" in the field day of week is not in {numbering.sunday}-{high}')
    return int(word)


def _monday_first(day: int, numbering: Numbering) -> int:
    return (day - numbering.sunday - 1) % 7
