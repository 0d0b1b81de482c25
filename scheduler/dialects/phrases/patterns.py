"""The regular expressions of the productions of a language, with a group for each placeholder."""

import re
from collections.abc import Iterable
from functools import cache
from types import ModuleType

_BARE = r"[0-9]{1,2}(?:(?::[0-9]{2}){1,2}|[.h][0-9]{2}|h)?(?: ?[ap]\.?m\b\.?)?"
_CLEAR = r"[0-9]{1,2}(?:(?::[0-9]{2}){1,2}(?: ?[ap]\.?m\b\.?)?|h[0-9]{2}|h| ?[ap]\.?m\b\.?)"
_NTH = r"[0-9]{1,2}(?:st|nd|rd|th|-?a|-?lea)?"


@cache
def productions(language: ModuleType) -> dict[str, re.Pattern[str]]:
    """The pattern of each production; each ends with a word."""
    return {
        name: re.compile(rf"(?:{_expanded(pattern, language)})(?= |$)")
        for name, pattern in language.PRODUCTIONS.items()
    }


def _expanded(pattern: str, language: ModuleType) -> str:
    """The pattern with a named group in place of each placeholder; a placeholder may be there twice."""
    places = _places(language)
    count: dict[str, int] = {}

    def group(match: re.Match[str]) -> str:
        name = match[1]
        count[name] = count.get(name, 0) + 1
        return f"(?P<{name}__{count[name]}>{places[name]})"

    return re.sub(r"(?<!\?P)<([a-z_]+)>", group, pattern)


@cache
def _places(language: ModuleType) -> dict[str, str]:
    """The regular expression of each kind of placeholder."""
    number = f"[0-9]{{1,4}}|{any_of(language.NUMBERS)}"
    weekday = f"(?:{any_of(language.WEEKDAYS)}){language.PLURAL}\\b\\.?"
    month = f"(?:{any_of(language.MONTHS)})\\b\\.?"
    clock = f"(?:{_BARE}|{any_of(language.CLOCK_WORDS)})"
    clear = f"(?:{_CLEAR}|{any_of(language.CLOCK_WORDS)})"
    numbers = list_of("[0-9]{1,2}(?: ?- ?[0-9]{1,2})?", language)
    spans = f"(?:(?:{language.FROM}) )?{weekday}(?: ?(?:-|\\b(?:{language.TO})\\b) ?{weekday})?"
    return {
        "unit": any_of(language.UNITS), "single": any_of(language.SINGULAR), "number": number, "repeated": number,
        "weekday": weekday, "weekdays": list_of(spans, language), "month": month,
        "months": list_of(f"{month}(?: ?(?:-|\\b(?:{language.TO})\\b) ?{month})?", language),
        "ordinals": list_of(f"(?:{any_of(language.ORDINALS)}|[0-9](?:st|nd|rd|th))", language), "nth": _NTH,
        "nths": list_of("(?:[0-9]{1,2}(?:st|nd|rd|th)|first)", language),
        "numbers": numbers, "more_numbers": numbers, "times": list_of(clock, language),
        "clear_times": list_of(clear, language), "low": clock, "high": clock,
        "times_per": any_of(language.TIMES_PER), "day_part": f"(?:{any_of(language.DAY_PARTS)})s?",
        "days_ahead": any_of(language.DAYS_AHEAD), "date": "[0-9]{4}[-/.][0-9]{2}[-/.][0-9]{2}",
        "year": "20[0-9]{2}|21[0-9]{2}",
        "zone": "[a-z]{3,}(?:/[a-z0-9_+-]+)+|utc",
    }  # fmt: skip


def any_of(words: Iterable[str]) -> str:
    """A pattern of one of the words, the longest first."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def list_of(item: str, language: ModuleType) -> str:
    """A pattern of one or more items with commas or `and` between them."""
    joint = rf"(?: ?, (?:(?:{language.AND}) )?(?:at |la )?| (?:{language.AND}) (?:at |la |on )?)"
    return f"(?:{item})(?:{joint}(?:{item}))*"


def text_of(match: re.Match[str], name: str) -> str:
    """The text of the placeholder; empty if its part of the pattern did not match."""
    groups = match.groupdict()
    return next((text for key, text in groups.items() if key.rpartition("__")[0] == name and text), "")


def items_of(text: str, language: ModuleType) -> list[str]:
    """The items of such a list."""
    return [item.strip() for item in re.split(rf"\s*,\s*|\b(?:{language.AND})\b", text) if item.strip()]
