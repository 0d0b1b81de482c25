"""The values of placeholders: numbers, times of day, and ranges of names."""

import re
from collections.abc import Mapping
from types import ModuleType

from scheduler.dialects.fields import UnfitError
from scheduler.dialects.phrases.patterns import items_of

_CLOCK = re.compile(r"([0-9]{1,2})(?:[:.h]([0-9]{2})(?::([0-9]{2}))?|h)? ?([ap])?\.?m?\.?")


def number_of(text: str, language: ModuleType) -> int:
    """The number that digits or a word name.

    Raises:
        UnfitError: it is 0.
    """
    number = int(text) if text.isdigit() else int(language.NUMBERS[text])
    if number < 1:
        raise UnfitError("a number is at least 1")
    return number


def numbers_of(text: str, low: int, high: int, language: ModuleType) -> tuple[int, ...]:
    """The sorted numbers of a list with ranges; ordinals such as `1st` count as numbers.

    Raises:
        UnfitError: one is out of range.
    """
    values: set[int] = set()
    for item in items_of(text, language):
        first, _, last = (word.strip() for word in item.partition("-"))
        digits = [int(re.sub("[^0-9]", "", word) or 1) for word in (first, last or first)]
        if not low <= digits[0] <= digits[1] <= high:
            raise UnfitError(f"{item} is not in {low}-{high}")
        values.update(range(digits[0], digits[1] + 1))
    return tuple(sorted(values))


def clock_time(text: str, language: ModuleType) -> int:
    """Seconds since midnight."""
    if text in language.CLOCK_WORDS:
        return int(language.CLOCK_WORDS[text])
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise UnfitError(f'"{text}" is not a time of day')
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    if match[4]:
        if not 1 <= hour <= 12:
            raise UnfitError(f'"{text}" is not a time of day')
        hour = hour % 12 + (12 if match[4] == "p" else 0)
    if hour > 23 or minute > 59 or second > 59:
        raise UnfitError(f'"{text}" is not a time of day')
    return hour * 3600 + minute * 60 + second


def clock_times(text: str, language: ModuleType) -> tuple[int, ...]:
    """The times; `at 8 and 9pm` is refused, because the first of them may be in the evening as well."""
    items = items_of(re.sub(r"\b(?:at|la)\b", "", text), language)
    halves = [bool(re.search(r"[ap]\.?m", item)) for item in items if item not in language.CLOCK_WORDS]
    if any(halves) and not all(halves):
        raise UnfitError("some of the times have am or pm, others do not")
    return tuple(sorted({clock_time(item, language) for item in items}))


def named_range(text: str, names: Mapping[str, int], size: int, language: ModuleType) -> list[int]:
    """The numbers of the names in a list with ranges."""
    values: list[int] = []
    for item in items_of(text, language):
        words = [word.strip(" .") for word in re.split(rf"-|\b(?:{language.FROM}|{language.TO})\b", item)]
        ends = [_named(word, names, language) for word in words if word]
        first, last = ends[0], ends[-1]
        values += [day % size for day in range(first, last + 1 + (size if last < first else 0))]
    return values


def _named(word: str, names: Mapping[str, int], language: ModuleType) -> int:
    return names[word] if word in names else names[word.removesuffix(language.PLURAL.removesuffix("?"))]
