"""The clauses of a phrase, and what each production sets in them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from types import ModuleType

from scheduler.dialects.fields import UnfitError
from scheduler.dialects.phrases.patterns import items_of, text_of
from scheduler.dialects.phrases.values import clock_time, clock_times, named_range, number_of, numbers_of
from scheduler.triggers.localtime.zone import zone_names
from scheduler.triggers.rrule.parse import Weekday

ADVERBS = {
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


def _weekdays(match: re.Match[str], language: ModuleType) -> tuple[Weekday, ...]:
    text = text_of(match, "weekdays") or text_of(match, "weekday")
    return tuple(Weekday(0, number) for number in sorted(set(named_range(text, language.WEEKDAYS, 7, language))))


def _months(match: re.Match[str], language: ModuleType) -> tuple[int, ...]:
    text = text_of(match, "months") or text_of(match, "month")
    return tuple(sorted({(month - 1) % 12 + 1 for month in named_range(text, language.MONTHS, 12, language)}))


def _plain_weekdays(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    days = _weekdays(match, language)
    is_repeated = len(days) > 1 or language.REPEATED.search(match[0])
    return {"weekdays": days} if is_repeated else {"weekdays": days, "dated": "weekday"}


def _month_days(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    days = numbers_of(text_of(match, "nths") or text_of(match, "numbers"), 1, 31, language)
    is_repeated = len(days) > 1 or language.REPEATED.search(match[0])
    return {"month_days": days} if is_repeated else {"month_days": days, "dated": "day"}


def _date_of_year(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    days = numbers_of(re.sub("[^0-9]", "", text_of(match, "nth")), 1, 31, language)
    parts: dict[str, object] = {"month_days": days, "months": _months(match, language)}
    return parts if language.REPEATED.search(match[0]) else {**parts, "dated": "day"}


def _numbered_weekday(match: re.Match[str], language: ModuleType) -> tuple[Weekday, ...]:
    [day] = _weekdays(match, language)
    places = [
        language.ORDINALS[item] if item in language.ORDINALS else int(item[0])
        for item in items_of(text_of(match, "ordinals"), language)
    ]
    if not all(place == -1 or 1 <= place <= 5 for place in places):
        raise UnfitError("a month has at most five of a weekday")
    return tuple(Weekday(place, day.number) for place in sorted(places))


def _unit(match: re.Match[str], language: ModuleType) -> str:
    return str(language.UNITS[text_of(match, "unit") or text_of(match, "single")])


def _every_number(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    number = number_of(text_of(match, "number"), language)
    if (repeated := text_of(match, "repeated")) and number_of(repeated, language) != number:
        raise UnfitError("the two numbers differ")
    return {"unit": _unit(match, language), "number": number}


def _zone(match: re.Match[str], _language: ModuleType) -> dict[str, object]:
    name = next((name for name in zone_names() if name.casefold() == text_of(match, "zone")), None)
    if name is None:
        raise UnfitError("an unknown time zone")
    return {"zone": name}


def _adverb(match: re.Match[str], _language: ModuleType) -> dict[str, object]:
    if match["adverb"]:
        return {"unit": ADVERBS[match["adverb"]], "number": 1, "adverb": True}
    return {"unit": "hour" if "ora" in match["from_to"] else "minute", "number": 1}


def _date(match: re.Match[str], _language: ModuleType) -> dict[str, object]:
    try:
        return {"day": date.fromisoformat(re.sub("[/.]", "-", text_of(match, "date")))}
    except ValueError as error:
        raise UnfitError(str(error)) from error


def _full_date(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    [month], number = _months(match, language), int(re.sub("[^0-9]", "", text_of(match, "nth")))
    try:
        return {"day": date(int(text_of(match, "year")), month, number)}
    except ValueError as error:
        raise UnfitError(str(error)) from error


def _day_part(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    word = text_of(match, "day_part")
    return {"day_part": language.DAY_PARTS[word if word in language.DAY_PARTS else word[:-1]] if word else "night"}


def _window(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    low, high = text_of(match, "low"), text_of(match, "high")
    if bool(re.search("[ap]", low)) != bool(re.search("[ap]", high)) and not {low, high} & set(language.CLOCK_WORDS):
        raise UnfitError("one of the times has am or pm, the other does not")
    first, last = clock_time(low, language), clock_time(high, language)
    if last <= first:
        raise UnfitError("the window ends before it begins")
    return {"window": (first, last, ":" not in high and "." not in high)}


def _times_per(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    word = text_of(match, "times_per")
    number = language.TIMES_PER[word] if word else number_of(text_of(match, "number"), language)
    return {"times_per": (number, _unit(match, language))}


def _other(match: re.Match[str], language: ModuleType) -> dict[str, object]:
    if text_of(match, "unit"):
        return {"unit": _unit(match, language), "number": 2}
    return {"unit": "week", "number": 2, "weekdays": _weekdays(match, language)}


Part = Callable[[re.Match[str], ModuleType], Mapping[str, object]]
PARTS: Mapping[str, Part] = {
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
    "numbered_days": lambda match, language: {"month_days": numbers_of(text_of(match, "numbers"), 1, 31, language)},
    "date_of_year": _date_of_year,
    "months": lambda match, language: {"months": _months(match, language)},
    "at_times": lambda match, language: {"times": clock_times(text_of(match, "times"), language)},
    "clear_times": lambda match, language: {"times": clock_times(text_of(match, "clear_times"), language)},
    "window": _window,
    "at_minutes": lambda match, language: {"minutes": numbers_of(text_of(match, "numbers"), 0, 59, language)},
    "at_minutes_of_hours": lambda match, language: {
        "minutes": numbers_of(text_of(match, "numbers"), 0, 59, language),
        "hours": numbers_of(text_of(match, "more_numbers"), 0, 23, language),
    },
    "on_the_hour": lambda match, _: {"minutes": (0,)},
    "times_per": _times_per,
    "day_part": _day_part,
    "days_ahead": lambda match, language: {"days_ahead": language.DAYS_AHEAD[text_of(match, "days_ahead")]},
    "next_weekday": lambda match, language: {"next_weekday": _weekdays(match, language)[0].number},
    "after_span": lambda match, language: {
        "after": (number_of(text_of(match, "number"), language), _unit(match, language))
    },
    "on_date": _date,
    "full_date": _full_date,
    "zone": _zone,
}
