"""Parses a phrase such as `every weekday at 9` or `luni și joi la 18:30` into clauses.

A phrase is a sequence of clauses in any order. Each matches one production of its language; together they must cover
the whole text, and no two may set the same part.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import cache
from types import ModuleType
from typing import Any

from scheduler.dialects import phrase_english, phrase_romanian
from scheduler.dialects.fields import UnfitError
from scheduler.dialects.words import plain
from scheduler.triggers.localtime.zone import zone_names
from scheduler.triggers.rrule.parse import Weekday

LANGUAGES = (phrase_english, phrase_romanian)
MAX_LENGTH = 200
_CLOCK = re.compile(r"([0-9]{1,2})(?:[:.h]([0-9]{2})(?::([0-9]{2}))?|h)? ?([ap])?\.?m?\.?")
_BARE = r"[0-9]{1,2}(?:(?::[0-9]{2}){1,2}|[.h][0-9]{2}|h)?(?: ?[ap]\.?m\b\.?)?"
_CLEAR = r"[0-9]{1,2}(?:(?::[0-9]{2}){1,2}(?: ?[ap]\.?m\b\.?)?|h[0-9]{2}|h| ?[ap]\.?m\b\.?)"
_NTH = r"[0-9]{1,2}(?:st|nd|rd|th|-?a|-?lea)?"
_ADVERBS = {
    "hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year", "annually": "year",
    "zilnic": "day", "saptamanal": "week", "lunar": "month", "anual": "year",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clauses:
    """The parts of a phrase that were set; times of day are in seconds since midnight.

    `unit` and `number`: every number of units; `adverb`: the unit was a word such as `daily`. `window`: the first and
    the last time of day, and whether the last one is a whole hour without minutes. `minutes` of each hour, of the
    hours `hours`. `times_per`: a number of times per unit. `days_ahead`, `next_weekday`, `day` and `after` name one
    time.
    """

    unit: str | None = None
    number: int | None = None
    adverb: bool | None = None
    weekdays: tuple[Weekday, ...] | None = None
    month_days: tuple[int, ...] | None = None
    nearest: tuple[int, ...] | None = None
    months: tuple[int, ...] | None = None
    times: tuple[int, ...] | None = None
    window: tuple[int, int, bool] | None = None
    minutes: tuple[int, ...] | None = None
    hours: tuple[int, ...] | None = None
    times_per: tuple[int, str] | None = None
    day_part: str | None = None
    days_ahead: int | None = None
    next_weekday: int | None = None
    day: date | None = None
    after: tuple[int, str] | None = None
    zone: str | None = None
    dated: str | None = None

    def only(self, *names: str) -> bool:
        """Whether no other parts than these and the zone are set."""
        return all(getattr(self, field.name) is None or field.name in (*names, "zone") for field in fields(self))


def parse_phrase(text: str) -> Clauses | None:
    """The clauses of a phrase, or None if no language has it.

    >>> parse_phrase("every weekday at 9").times
    (32400,)
    """
    text = plain(text).replace(",", " , ").strip(" .!")
    text = " ".join(text.split())
    if not text or len(text) > MAX_LENGTH:
        return None
    for language in LANGUAGES:
        try:
            clauses = _parse(text, language)
        except UnfitError:
            continue
        if clauses is not None:
            return clauses
    return None


def _parse(text: str, language: ModuleType) -> Clauses | None:
    if opening := re.match(language.OPENING, text):
        text = text[opening.end() :]
    clauses, place = Clauses(), 0
    while place < len(text):
        name, match = _longest(text, place, language)
        if match is None:
            return None
        clauses = _joined(clauses, _PARTS[name](match, language))
        place = match.end()
        while place < len(text) and text[place] in " ,":
            place += 1
    return clauses


def _longest(text: str, place: int, language: ModuleType) -> tuple[str, re.Match[str] | None]:
    """The production that matches most of the text from that place on, up to the end of a word."""
    best: tuple[str, re.Match[str] | None] = ("", None)
    for name, pattern in _productions(language).items():
        match = pattern.match(text, place)
        if match and match.end() > place and (best[1] is None or match.end() > best[1].end()):
            best = (name, match)
    return best


def _joined(clauses: Clauses, parts: Mapping[str, Any]) -> Clauses:
    for name, value in parts.items():
        if getattr(clauses, name) is not None:
            raise UnfitError(f"{name} is named twice")
        clauses = replace(clauses, **{name: value})
    return clauses


@cache
def _productions(language: ModuleType) -> dict[str, re.Pattern[str]]:
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
    number = f"[0-9]{{1,4}}|{_any(language.NUMBERS)}"
    weekday = f"(?:{_any(language.WEEKDAYS)}){language.PLURAL}\\b\\.?"
    month = f"(?:{_any(language.MONTHS)})\\b\\.?"
    clock = f"(?:{_BARE}|{_any(language.CLOCK_WORDS)})"
    clear = f"(?:{_CLEAR}|{_any(language.CLOCK_WORDS)})"
    numbers = _list("[0-9]{1,2}(?: ?- ?[0-9]{1,2})?", language)
    spans = f"(?:(?:{language.FROM}) )?{weekday}(?: ?(?:-|\\b(?:{language.TO})\\b) ?{weekday})?"
    return {
        "unit": _any(language.UNITS), "single": _any(language.SINGULAR), "number": number, "repeated": number,
        "weekday": weekday, "weekdays": _list(spans, language), "month": month,
        "months": _list(f"{month}(?: ?(?:-|\\b(?:{language.TO})\\b) ?{month})?", language),
        "ordinals": _list(f"(?:{_any(language.ORDINALS)}|[0-9](?:st|nd|rd|th))", language), "nth": _NTH,
        "nths": _list("(?:[0-9]{1,2}(?:st|nd|rd|th)|first)", language),
        "numbers": numbers, "more_numbers": numbers, "times": _list(clock, language),
        "clear_times": _list(clear, language), "low": clock, "high": clock,
        "times_per": _any(language.TIMES_PER), "day_part": f"(?:{_any(language.DAY_PARTS)})s?",
        "days_ahead": _any(language.DAYS_AHEAD), "date": "[0-9]{4}[-/.][0-9]{2}[-/.][0-9]{2}",
        "year": "20[0-9]{2}|21[0-9]{2}",
        "zone": "[a-z]{3,}(?:/[a-z0-9_+-]+)+|utc",
    }  # fmt: skip


def _any(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _list(item: str, language: ModuleType) -> str:
    joint = rf"(?: ?, (?:(?:{language.AND}) )?(?:at |la )?| (?:{language.AND}) (?:at |la |on )?)"
    return f"(?:{item})(?:{joint}(?:{item}))*"


def _value(match: re.Match[str], name: str) -> str:
    """The text of the placeholder; empty if its part of the pattern did not match."""
    groups = match.groupdict()
    return next((text for key, text in groups.items() if key.rpartition("__")[0] == name and text), "")


def _items(text: str, language: ModuleType) -> list[str]:
    return [item.strip() for item in re.split(rf"\s*,\s*|\b(?:{language.AND})\b", text) if item.strip()]


def _number(text: str, language: ModuleType) -> int:
    number = int(text) if text.isdigit() else int(language.NUMBERS[text])
    if number < 1:
        raise UnfitError("a number is at least 1")
    return number


def _numbers(text: str, low: int, high: int, language: ModuleType) -> tuple[int, ...]:
    found: set[int] = set()
    for item in _items(text, language):
        first, _, last = (word.strip() for word in item.partition("-"))
        digits = [int(re.sub("[^0-9]", "", word) or 1) for word in (first, last or first)]
        if not low <= digits[0] <= digits[1] <= high:
            raise UnfitError(f"{item} is not in {low}-{high}")
        found.update(range(digits[0], digits[1] + 1))
    return tuple(sorted(found))


def _time(text: str, language: ModuleType) -> int:
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


def _times(text: str, language: ModuleType) -> tuple[int, ...]:
    """The times; `at 8 and 9pm` is refused, because the first of them may be in the evening as well."""
    items = _items(re.sub(r"\b(?:at|la)\b", "", text), language)
    halves = [bool(re.search(r"[ap]\.?m", item)) for item in items if item not in language.CLOCK_WORDS]
    if any(halves) and not all(halves):
        raise UnfitError("some of the times have am or pm, others do not")
    return tuple(sorted({_time(item, language) for item in items}))


def _spans(text: str, names: Mapping[str, int], size: int, language: ModuleType) -> list[int]:
    """The numbers of the names in a list with ranges."""
    found: list[int] = []
    for item in _items(text, language):
        words = [word.strip(" .") for word in re.split(rf"-|\b(?:{language.FROM}|{language.TO})\b", item)]
        ends = [_named(word, names, language) for word in words if word]
        first, last = ends[0], ends[-1]
        found += [day % size for day in range(first, last + 1 + (size if last < first else 0))]
    return found


def _named(word: str, names: Mapping[str, int], language: ModuleType) -> int:
    return names[word] if word in names else names[word.removesuffix(language.PLURAL.removesuffix("?"))]


def _weekdays(match: re.Match[str], language: ModuleType) -> tuple[Weekday, ...]:
    text = _value(match, "weekdays") or _value(match, "weekday")
    return tuple(Weekday(0, number) for number in sorted(set(_spans(text, language.WEEKDAYS, 7, language))))


def _months(match: re.Match[str], language: ModuleType) -> tuple[int, ...]:
    text = _value(match, "months") or _value(match, "month")
    return tuple(sorted({(month - 1) % 12 + 1 for month in _spans(text, language.MONTHS, 12, language)}))


def _plain_weekdays(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    days = _weekdays(match, language)
    is_repeated = len(days) > 1 or language.REPEATED.search(match[0])
    return {"weekdays": days} if is_repeated else {"weekdays": days, "dated": "weekday"}


def _month_days(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    days = _numbers(_value(match, "nths") or _value(match, "numbers"), 1, 31, language)
    is_repeated = len(days) > 1 or language.REPEATED.search(match[0])
    return {"month_days": days} if is_repeated else {"month_days": days, "dated": "day"}


def _date_of_year(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    days = _numbers(re.sub("[^0-9]", "", _value(match, "nth")), 1, 31, language)
    parts: dict[str, object] = {"month_days": days, "months": _months(match, language)}
    return parts if language.REPEATED.search(match[0]) else {**parts, "dated": "day"}


def _numbered_weekday(match: re.Match[str], language: ModuleType) -> tuple[Weekday, ...]:
    [day] = _weekdays(match, language)
    places = [
        language.ORDINALS[item] if item in language.ORDINALS else int(item[0])
        for item in _items(_value(match, "ordinals"), language)
    ]
    if not all(place == -1 or 1 <= place <= 5 for place in places):
        raise UnfitError("a month has at most five of a weekday")
    return tuple(Weekday(place, day.number) for place in sorted(places))


def _unit(match: re.Match[str], language: ModuleType) -> str:
    return str(language.UNITS[_value(match, "unit") or _value(match, "single")])


def _every_number(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    number = _number(_value(match, "number"), language)
    if (repeated := _value(match, "repeated")) and _number(repeated, language) != number:
        raise UnfitError("the two numbers differ")
    return {"unit": _unit(match, language), "number": number}


def _zone(match: re.Match[str], _language: ModuleType) -> dict[str, object]:
    name = next((name for name in zone_names() if name.casefold() == _value(match, "zone")), None)
    if name is None:
        raise UnfitError("an unknown time zone")
    return {"zone": name}


def _adverb(match: re.Match[str], _language: ModuleType) -> dict[str, object]:
    if match["adverb"]:
        return {"unit": _ADVERBS[match["adverb"]], "number": 1, "adverb": True}
    return {"unit": "hour" if "ora" in match["from_to"] else "minute", "number": 1}


def _date(match: re.Match[str], _language: ModuleType) -> dict[str, object]:
    try:
        return {"day": date.fromisoformat(re.sub("[/.]", "-", _value(match, "date")))}
    except ValueError as error:
        raise UnfitError(str(error)) from error


def _full_date(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    [month], number = _months(match, language), int(re.sub("[^0-9]", "", _value(match, "nth")))
    try:
        return {"day": date(int(_value(match, "year")), month, number)}
    except ValueError as error:
        raise UnfitError(str(error)) from error


def _day_part(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    word = _value(match, "day_part")
    return {"day_part": language.DAY_PARTS[word if word in language.DAY_PARTS else word[:-1]] if word else "night"}


def _window(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    low, high = _value(match, "low"), _value(match, "high")
    if bool(re.search("[ap]", low)) != bool(re.search("[ap]", high)) and not {low, high} & set(language.CLOCK_WORDS):
        raise UnfitError("one of the times has am or pm, the other does not")
    first, last = _time(low, language), _time(high, language)
    if last <= first:
        raise UnfitError("the window ends before it begins")
    return {"window": (first, last, ":" not in high and "." not in high)}


def _times_per(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    word = _value(match, "times_per")
    number = language.TIMES_PER[word] if word else _number(_value(match, "number"), language)
    return {"times_per": (number, _unit(match, language))}


def _other(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    if _value(match, "unit"):
        return {"unit": _unit(match, language), "number": 2}
    return {"unit": "week", "number": 2, "weekdays": _weekdays(match, language)}


_Part = Callable[[re.Match[str], ModuleType], Mapping[str, object]]
_PARTS: Mapping[str, _Part] = {
    "adverb": _adverb,
    "every_unit": lambda match, language: {"unit": _unit(match, language), "number": 1},
    "every_number": _every_number,
    "every_other": _other,
    "other_weekday": _other,
    "half_hour": lambda match, _: {"unit": "minute", "number": 15 if match["half"][0] in "qs" else 30},
    "workdays": lambda _match, _: {"weekdays": tuple(Weekday(0, number) for number in range(5))},
    "weekend": lambda _match, _: {"weekdays": (Weekday(0, 5), Weekday(0, 6))},
    "weekdays": _plain_weekdays,
    "numbered_weekday": lambda match, language: {"weekdays": _numbered_weekday(match, language)},
    "last_day": lambda _match, _: {"month_days": (-1,)},
    "edge_workday": lambda match, _: {"nearest": (1 if match["edge"] in ("first", "prima") else -1,)},
    "month_days": _month_days,
    "numbered_days": lambda match, language: {"month_days": _numbers(_value(match, "numbers"), 1, 31, language)},
    "date_of_year": _date_of_year,
    "months": lambda match, language: {"months": _months(match, language)},
    "at_times": lambda match, language: {"times": _times(_value(match, "times"), language)},
    "clear_times": lambda match, language: {"times": _times(_value(match, "clear_times"), language)},
    "window": _window,
    "at_minutes": lambda match, language: {"minutes": _numbers(_value(match, "numbers"), 0, 59, language)},
    "at_minutes_of_hours": lambda match, language: {
        "minutes": _numbers(_value(match, "numbers"), 0, 59, language),
        "hours": _numbers(_value(match, "more_numbers"), 0, 23, language),
    },
    "on_the_hour": lambda match, _: {"minutes": (0,)},
    "times_per": _times_per,
    "day_part": _day_part,
    "days_ahead": lambda match, language: {"days_ahead": language.DAYS_AHEAD[_value(match, "days_ahead")]},
    "next_weekday": lambda match, language: {"next_weekday": _weekdays(match, language)[0].number},
    "after_span": lambda match, language: {
        "after": (_number(_value(match, "number"), language), _unit(match, language))
    },
    "on_date": _date,
    "full_date": _full_date,
    "zone": _zone,
}
