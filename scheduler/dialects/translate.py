"""Translates time text of other dialects and of plain language into triggers: the entry point of this folder.

Pure and deterministic. A translation is CERTAIN only if every dialect that has such a text gives it the same times.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from heapq import nlargest

from scheduler.dialects.calendar import Calendar
from scheduler.dialects.context import Context
from scheduler.dialects.cron_readers import cron, crontab_line, nickname, wrapped
from scheduler.dialects.on_calendar import instant_of
from scheduler.dialects.phrases.meaning import meaning
from scheduler.dialects.phrases.options import Meaning
from scheduler.dialects.phrases.parse import LANGUAGES, parse_phrase
from scheduler.dialects.text import MAX_LENGTH, clean
from scheduler.dialects.time_readers import calendar_event, repeating_interval, rule, single_time, span
from scheduler.dialects.times import SHOWN, next_times
from scheduler.dialects.translation import InexpressibleError, Reading, TimeText, Translation, certain, refused
from scheduler.dialects.words import plain
from scheduler.dialects.writing import write
from scheduler.triggers.localtime.zone import zone as zone_of
from scheduler.triggers.localtime.zone import zone_names
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.lines import parse_calendar_text

_LETTERS = re.compile(r"[^\W\d_]{3,}")


def translate(text: str, field: str, now: datetime, zone: str = "") -> Translation:
    """What `text`, which was written into the field cron, rrule, interval or once, means as a trigger.

    Args:
        text: at most 512 characters of it are read.
        field: an interval is preferred in `interval`, a single time in `once`.
        now: aware; relative times count from it, and readings without a later time are refused.
        zone: the IANA zone of the schedule, or empty.

    >>> now = datetime.fromisoformat("2026-05-01T10:00Z")
    >>> translate("0 10 * * ? *", "cron", now).trigger
    TimeText(kind='cron', value='0 10 * * *')
    >>> translate("0 9 * * * *", "cron", now).certainty
    <Certainty.ASK: 'ask'>
    """
    if not text.strip() or len(text) > MAX_LENGTH:
        return refused("")
    try:
        cleaned = clean(text)
        named = cleaned.zone or (zone if zone in zone_names() else "")
        context = Context(field, now, zone_of(named) if named else None, cleaned.zone, text)
        for read in READERS:
            translation = read(cleaned.text, context)
            if translation is not None:
                return _checked(translation, text, context)
    except InexpressibleError as error:
        return refused(str(error))
    is_phrase = _LETTERS.search(cleaned.text) and "=" not in cleaned.text
    return refused(_nearest(cleaned.text) if is_phrase else "")


def _checked(translation: Translation, text: str, context: Context) -> Translation:
    """Without readings that are the text itself or have no time; the labels of several show their next times."""
    readings: list[Reading] = []
    for reading in (_placed(reading, context) for reading in translation.readings):
        if reading.trigger == TimeText(context.field, text):
            return refused("")
        try:
            times = next_times(reading.trigger, context.now, context.where)
        except ScheduleError:
            continue
        if not times and not _has_ended(reading.trigger):
            continue
        label = f"{reading.label}: {', '.join(f'{time:%Y-%m-%d %H:%M:%S}' for time in times)}".removeprefix(": ")
        readings.append(replace(reading, label=label))
    lost = len(readings) < len(translation.readings)
    if not readings or (lost and len(readings) < 2):
        return replace(refused(translation.message or "it has no time in the future"))
    default = translation.default if any(reading.id == translation.default for reading in readings) else ""
    return replace(translation, readings=tuple(readings), default=default)


def _placed(reading: Reading, context: Context) -> Reading:
    """The reading with its zone; a single local time gets the offset of the zone in the text."""
    zone = reading.zone or context.zone_prefix
    if zone and reading.trigger.kind == "once":
        time = datetime.fromisoformat(reading.trigger.value.upper())
        return replace(reading, trigger=reading.trigger if time.tzinfo else instant_of(time, zone), zone="")
    return replace(reading, zone="" if reading.trigger.kind == "interval" else zone)


def _has_ended(trigger: TimeText) -> bool:
    """Whether it is a rule with a start in the past: valid, and reported by a warning."""
    return trigger.kind == "rrule" and parse_calendar_text(trigger.value).start is not None


def _phrase(text: str, context: Context) -> Translation | None:
    clauses = parse_phrase(text)
    if clauses is None:
        return None
    where = zone_of(clauses.zone) if clauses.zone else context.where
    inside = replace(context, where=where)
    phrase = meaning(clauses, context.field, context.now, inside.local if where else None)
    if phrase is None:
        return None
    readings = tuple(_meant(phrase, clauses.zone or "", inside))
    if len(readings) == 1:
        return certain(readings[0])
    return Translation(phrase.certainty, readings, phrase.question, default=phrase.default)


def _meant(phrase: Meaning, zone: str, context: Context) -> Iterator[Reading]:
    for option in phrase.options:
        trigger = write(option.when, context.local) if isinstance(option.when, Calendar) else option.when
        why = f"Writes the phrase as {trigger.kind}."
        yield Reading(option.id, option.label, trigger, zone=zone, why=why)


READERS: Sequence[Callable[[str, Context], Translation | None]] = (
    nickname, wrapped, single_time, rule, span, repeating_interval, calendar_event, cron, crontab_line, _phrase,
)  # fmt: skip


def _nearest(text: str) -> str:
    """The three examples of phrases that are most similar, in the language of the text."""
    wanted = _trigrams(text)
    nearest = nlargest(SHOWN, _examples().items(), key=lambda entry: _similarity(wanted, entry[1]))
    listed = ", ".join(f'"{example}"' for example, _ in nearest)
    return f"expected a cron expression such as 0 9 * * 1-5, or a phrase such as {listed}"


@cache
def _examples() -> dict[str, frozenset[str]]:
    return {example: _trigrams(example) for language in LANGUAGES for example in language.EXAMPLES}


def _trigrams(text: str) -> frozenset[str]:
    padded = f"  {plain(text)} "
    return frozenset(padded[place : place + 3] for place in range(len(padded) - 2))


def _similarity(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / len(first | second)
