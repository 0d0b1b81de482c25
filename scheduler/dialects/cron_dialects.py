"""Cron expressions of other dialects: a table of the dialects, and the calendar that a text names in each of them.

Sources: the manuals of Quartz (CronTrigger), Amazon EventBridge (schedule expressions), Spring (CronExpression) and
crontab(5).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from scheduler.dialects.calendar import MONTHS, Calendar
from scheduler.dialects.fields import (
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    YEAR,
    Days,
    Numbering,
    UnfitError,
    month_days,
    values_of,
    weekdays,
)

_CRONTAB = Numbering(sunday=0, first=0, last=6)
_SPRING = Numbering(sunday=0, first=1, last=7)
_NODE = Numbering(sunday=0, first=0, last=7)
_FROM_ONE = Numbering(sunday=1, first=1, last=7, alone=True)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One dialect of cron.

    Args:
        fields: the order of its fields: s m h D M W Y; a number in front of a field is not used.
        numbering: how it counts weekdays.
        letters: it has L, W and #.
        question: `no`, `free` (a `?` is a `*`), `one` (exactly one of the two day fields is `?`).
        either: a day fits if one of two restricted day fields fits; else both must.
        loose: it is a habit rather than a dialect: read only where `_is_loose` allows it.
    """

    id: str
    label: str
    fields: str
    numbering: Numbering
    letters: bool
    question: str
    either: bool
    loose: bool = False


DIALECTS = (
    Dialect("crontab", "crontab (0 is Sunday)", "mhDMW", _CRONTAB, letters=True, question="free", either=True),
    Dialect("quartz", "Quartz (seconds first, 1 is Sunday)", "smhDMW", _FROM_ONE, True, "one", either=False),
    Dialect("quartz", "Quartz (seconds first, 1 is Sunday)", "smhDMWY", _FROM_ONE, True, "one", either=False),
    Dialect("quartz", "Quartz (seconds first, 1 is Sunday)", "smhDMWY", _FROM_ONE, True, "no", either=True),
    Dialect("cronexpr", "seconds first, year last (0 is Sunday)", "smhDMWY", _CRONTAB, False, "no", either=True),
    Dialect("spring", "Spring (seconds first, 0 is Sunday)", "smhDMW", _SPRING, True, "free", either=False),
    Dialect("node-cron", "node-cron (seconds first, 0 is Sunday)", "smhDMW", _NODE, False, "no", either=True),
    Dialect("aws", "Amazon EventBridge (year last, 1 is Sunday)", "mhDMWY", _FROM_ONE, True, "one", either=False),
    Dialect("year", "crontab with a year (0 is Sunday)", "mhDMWY", _CRONTAB, False, "no", either=True, loose=True),
)
FIVE_FIELDS = DIALECTS[:1]
_WITHOUT_YEAR = Dialect(
    "aws-short", "Amazon EventBridge without its year (1 is Sunday)", "mhDMW", _FROM_ONE, True, "free", True
)
EVENT_BRIDGE = (*(dialect for dialect in DIALECTS if dialect.id == "aws"), *FIVE_FIELDS, _WITHOUT_YEAR)
"""The dialects of a text in `cron(…)`."""


def calendars(
    words: list[str], dialects: tuple[Dialect, ...] = DIALECTS
) -> tuple[list[tuple[Dialect, Calendar]], list[str]]:
    """What the fields mean in each dialect that has such a text; and why the other ones do not have it."""
    readings, problems = [], []
    for dialect in dialects:
        if len(words) != len(dialect.fields) or (dialect.loose and not _is_loose(words)):
            continue
        try:
            readings.append((dialect, _calendar(words, dialect)))
        except UnfitError as error:
            problems.append(str(error))
    return readings, problems


def _is_loose(words: list[str]) -> bool:
    """Whether six fields may be five fields and a year.

    Not if they look like a time of day with seconds: `0 0 9 * * *` and `0 15 9 * * *` name one in all dialects with
    seconds, and as five fields day 9 of each month.
    """
    minutes, hours = words[1:3]
    is_hour = minutes.isdigit() and 1 <= int(minutes) < 24
    return (
        hours.startswith("*") or (is_hour and (hours in ("1", "01") or int(minutes) % 5 > 0)) or words[5][:4].isdigit()
    )


def _calendar(words: list[str], dialect: Dialect) -> Calendar:
    word = dict(zip(dialect.fields, words, strict=True))
    questions = (word["D"] == "?") + (word["W"] == "?")
    if dialect.question == "one" and questions != 1:
        raise UnfitError("exactly one of the two day fields must be ?")
    free = dialect.question != "no"
    by_day = month_days(word["D"], letters=dialect.letters, question=free)
    by_weekday = weekdays(word["W"], dialect.numbering, letters=dialect.letters, question=free)
    calendar = Calendar(
        minutes=values_of(word["m"], MINUTE),
        hours=values_of(word["h"], HOUR),
        seconds=values_of(word["s"], SECOND) if "s" in word else (0,),
        months=MONTHS if word["M"] == "*" else values_of(word["M"], MONTH),
        years=None if word.get("Y", "*") == "*" else values_of(word["Y"], YEAR),
    )
    return replace(calendar, **dict(_days(by_day, by_weekday, dialect)))


def _days(by_day: Days, by_weekday: Days, dialect: Dialect) -> Iterator[tuple[str, Any]]:
    restricted = bool(by_day.values or by_day.nearest), bool(by_weekday.weekdays)
    if by_day.values:
        yield "month_days", tuple(sorted(by_day.values, key=lambda day: (day < 0, day)))
    if by_day.nearest:
        yield "nearest", tuple(sorted(by_day.nearest))
    if by_weekday.weekdays:
        yield "weekdays", tuple(sorted(by_weekday.weekdays, key=lambda day: (day.number, day.nth)))
    if all(restricted) and dialect.either and not (by_day.star or by_weekday.star):
        yield "either", True
