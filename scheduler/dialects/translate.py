"""Translates time text of other dialects and of plain language into triggers: the entry point of this folder.

Pure and deterministic. A translation is CERTAIN only if every dialect that has such a text gives it the same times.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import SequenceMatcher
from zoneinfo import ZoneInfo

from google.protobuf.duration_pb2 import Duration

from scheduler.dialects.calendar import Calendar
from scheduler.dialects.cron_dialects import EVENT_BRIDGE, FIVE_FIELDS, Dialect, calendars
from scheduler.dialects.crontab import split_line, unwrapped, without_hash
from scheduler.dialects.on_calendar import instant_of, on_calendar, once_in_zone
from scheduler.dialects.phrase_meaning import Meaning, meaning
from scheduler.dialects.phrases import LANGUAGES, parse_phrase
from scheduler.dialects.spans import every, repeating
from scheduler.dialects.text import MAX_LENGTH, clean
from scheduler.dialects.translation import (
    Certainty,
    InexpressibleError,
    Reading,
    TimeText,
    Translation,
    certain,
    refused,
)
from scheduler.dialects.words import ENGLISH_WEEKDAYS, plain
from scheduler.dialects.writing import write
from scheduler.triggers.build import build
from scheduler.triggers.cron.parse import NICKNAMES, parse_cron
from scheduler.triggers.localtime.zone import local_time, zone_names
from scheduler.triggers.localtime.zone import zone as zone_of
from scheduler.triggers.once import parse_once
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.rrule.lines import parse_calendar_text, with_start
from scheduler.triggers.rrule.parse import WEEKDAYS as RULE_DAYS
from scheduler.triggers.trigger import TimeTrigger

_SHOWN = 3
_BLANKS = re.compile(r"\s*([-,])\s*|(?<=[0-9*])\s*(/)\s*(?=[0-9])")
_TIME = re.compile(
    r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}[Tt ][0-9]{2}:?[0-9]{2}\S*(?: ?\[[A-Za-z_/+-]+\]| [A-Za-z_]+(?:/[A-Za-z_/+-]+)*)?",
    re.ASCII,
)
_ZONE_BEHIND = re.compile(r" ?\[?([A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+|(?<= |\[)UTC)\]?$")
_BY_DAY = re.compile(r"\bBYDAY=([^;]+)", re.IGNORECASE)
_NAMES = re.compile(r"[A-Za-z]{3,}")
_LETTERS = re.compile(r"[^\W\d_]{3,}")
_WHICH = "Which dialect is it?"


@dataclass(frozen=True, slots=True)
class _Context:
    """Where and when the text is read. `field`: cron, rrule, interval or once; `where`: None if no zone is known."""

    field: str
    now: datetime
    where: ZoneInfo | None
    zone_prefix: str = ""

    @property
    def local(self) -> datetime:
        """Now in the zone, or in UTC."""
        return local_time(self.now, self.where or zone_of("UTC")).replace(fold=0, microsecond=0)


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
        context = _Context(field, now, zone_of(named) if named else None, cleaned.zone)
        for read in _READERS:
            translation = read(cleaned.text, context)
            if translation is not None:
                return _checked(translation, text, context)
    except InexpressibleError as error:
        return refused(str(error))
    is_phrase = _LETTERS.search(cleaned.text) and "=" not in cleaned.text
    return refused(_nearest(cleaned.text) if is_phrase else "")


def next_times(
    trigger: TimeText, now: datetime, where: ZoneInfo | None, number: int = _SHOWN, after: datetime | None = None
) -> list[datetime]:
    """The next times after `after` (default: `now`) of a trigger that is created now, local to `where` or in UTC.

    Raises:
        ScheduleError: the trigger is not valid.
    """
    shown_in = where or zone_of("UTC")
    built = _built(trigger, now, shown_in)
    times: list[datetime] = []
    after = after or now
    while len(times) < number and (firing := built.after(after)):
        after = firing.time
        times.append(after.astimezone(shown_in))
    return times


def _built(trigger: TimeText, now: datetime, where: ZoneInfo) -> TimeTrigger:
    value = trigger.value
    if trigger.kind == "rrule" and parse_calendar_text(value).start is None:
        value = with_start(value, local_time(now.replace(microsecond=0), where).replace(fold=0), where)
    if trigger.kind == "interval":
        Duration().FromJsonString(value)
    return build({trigger.kind: value}, where, now)


def _checked(translation: Translation, text: str, context: _Context) -> Translation:
    """Without readings that are the text itself or have no time; the labels of several show their next times."""
    readings: list[Reading] = []
    for reading in translation.readings:
        if reading.trigger == TimeText(context.field, text):
            return refused("")
        reading = _placed(reading, context)
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


def _placed(reading: Reading, context: _Context) -> Reading:
    """The reading with its zone; a single local time gets the offset of the zone in the text."""
    zone = reading.zone or context.zone_prefix
    if zone and reading.trigger.kind == "once":
        time = datetime.fromisoformat(reading.trigger.value.upper())
        return replace(reading, trigger=reading.trigger if time.tzinfo else instant_of(time, zone), zone="")
    return replace(reading, zone="" if reading.trigger.kind == "interval" else zone)


def _has_ended(trigger: TimeText) -> bool:
    """Whether it is a rule with a start in the past: valid, and reported by a warning."""
    return trigger.kind == "rrule" and parse_calendar_text(trigger.value).start is not None


def _nickname(text: str, _context: _Context) -> Translation | None:
    if not text.startswith("@") or text.lower().startswith("@every"):
        return None
    if text.lower() == "@reboot":
        raise InexpressibleError("@reboot is not a time; expected a time such as @daily, or an event trigger")
    if text.lower() in NICKNAMES:
        return _sole(TimeText("cron", text.lower()), "crontab")
    return None


def _sole(trigger: TimeText | None, dialect: str, zone: str = "") -> Translation | None:
    if trigger is None:
        return None
    why = f"Translates it from {dialect} into {trigger.kind}."
    return certain(Reading("only", "", trigger, zone=zone, why=why))


def _wrapped(text: str, context: _Context) -> Translation | None:
    parts = unwrapped(text)
    if parts is None:
        return None
    name, content = parts
    if name == "at":
        return _sole(_once(content), "Amazon EventBridge")
    words = content.split()
    return _of_calendars(words, EVENT_BRIDGE if len(words) == len("mhDMWY") else FIVE_FIELDS, context)


def _once(text: str) -> TimeText | None:
    """A time in one of the forms of ISO 8601, also `20260701T120000Z` and with a zone behind it."""
    if not _TIME.fullmatch(text):
        return None
    written, name = _ZONE_BEHIND.sub("", text), _ZONE_BEHIND.search(text)
    try:
        time = datetime.fromisoformat(written.upper())
        if name and time.tzinfo is None:
            return instant_of(time, zone_of(name[1]).key)
        parse_once(time.isoformat())
    except (ValueError, ScheduleError):
        return None
    return TimeText("once", time.isoformat())


def _time(text: str, _context: _Context) -> Translation | None:
    return _sole(_once(text), "a time")


def _rule(text: str, _context: _Context) -> Translation | None:
    """A rule in the field of another kind, with blanks between its parts, or with names of days such as `MON`."""
    if "FREQ=" not in text.upper() or "DTSTART" in text.upper():
        return None
    joined = re.sub(r"\s*;\s*|\s+", ";", re.sub(r"\s*,\s*", ",", text.strip()))
    rule = _BY_DAY.sub(lambda match: "BYDAY=" + _NAMES.sub(_short_name, match[1]), joined)
    try:
        parse_calendar_text(rule)
    except ScheduleError:
        return None
    return _sole(TimeText("rrule", rule), "iCalendar")


def _short_name(match: re.Match[str]) -> str:
    number = ENGLISH_WEEKDAYS.get(match[0].lower())
    return match[0] if number is None else RULE_DAYS[number]


def _span(text: str, context: _Context) -> Translation | None:
    del context
    return _sole(every(text), "a duration")


def _repeating(text: str, context: _Context) -> Translation | None:
    return _sole(repeating(text, context.local if context.where else context.now, context.where), "ISO 8601")


def _event(text: str, context: _Context) -> Translation | None:
    if text.lower() == "weekly":
        return None  # Monday there, Sunday in crontab: the phrase asks
    event = on_calendar(text)
    if event is None:
        return None
    calendar, name = event
    once = once_in_zone(calendar, name)
    return _sole(once or write(calendar, context.local), "systemd's OnCalendar", "" if once else name)


def _cron(text: str, context: _Context) -> Translation | None:
    for candidate in dict.fromkeys((text, _BLANKS.sub(lambda match: match[1] or match[2], text))):
        words = candidate.split()
        translation = _of_calendars(words, None, context) or _hashed(words)
        if translation is not None:
            return translation
    return None


def _of_calendars(words: list[str], dialects: tuple[Dialect, ...] | None, context: _Context) -> Translation | None:
    found, _ = calendars(words, dialects) if dialects else calendars(words)
    triggers: dict[TimeText, list[Dialect]] = {}
    for dialect, calendar in found:
        trigger = write(calendar, context.local)
        if dialect in FIVE_FIELDS:
            trigger = _with_native_words(trigger, words)
        triggers.setdefault(trigger, []).append(dialect)
    readings = [
        Reading(
            dialects[0].id,
            " or ".join(dict.fromkeys(dialect.label for dialect in dialects)),
            trigger,
            why=f"Translates it from {dialects[0].label} into {trigger.kind}.",
        )
        for trigger, dialects in triggers.items()
    ]
    if not readings:
        return None
    if len(readings) == 1:
        return certain(replace(readings[0], label=""))
    return Translation(Certainty.ASK, readings, _WHICH, default=readings[0].id)


def _with_native_words(trigger: TimeText, words: list[str]) -> TimeText:
    """Keeps the fields that cron has as they are, because `0-23` and `*` differ when clocks change."""
    if trigger.kind != "cron":
        return trigger
    kept = trigger.value.split()
    for place, word in enumerate(words):
        candidate = ["*"] * len(kept)
        candidate[place] = word
        if _is_cron(" ".join(candidate)):
            kept[place] = word
    return TimeText("cron", " ".join(kept))


def _is_cron(text: str) -> bool:
    try:
        parse_cron(text)
    except ScheduleError:
        return False
    return True


def _hashed(words: list[str]) -> Translation | None:
    texts = without_hash(words)
    if texts is None:
        return None
    readings = [
        Reading(name, label, TimeText("cron", text))
        for name, label, text in zip(
            ("first", "middle"), ("the first value", "a value in the middle"), texts, strict=True
        )
    ]
    return Translation(Certainty.ASK, readings, "H is a value that Jenkins chooses. Which one is it here?")


def _line(text: str, context: _Context) -> Translation | None:
    line = split_line(text)
    if line is None:
        return None
    inner = _nickname(line.time, context) or _cron(line.time, context)
    if inner is None or inner.trigger is None:
        return None
    excerpt = line.command if len(line.command) <= 60 else line.command[:60] + "…"
    lost = [f"the command {line.command}", *([f"the user {line.user}"] if line.user else [])]
    return Translation(
        Certainty.ASK,
        (
            Reading("drop", f"without the command `{excerpt}`", inner.trigger, lost=lost),
            Reading(
                "param", f"with `{excerpt}` as params.command", inner.trigger, lost=lost[1:],
                params=(("command", line.command),),
            ),
        ),
        "A trigger has no command. What happens to it?",
    )  # fmt: skip


def _phrase(text: str, context: _Context) -> Translation | None:
    clauses = parse_phrase(text)
    if clauses is None:
        return None
    where = zone_of(clauses.zone) if clauses.zone else context.where
    inside = replace(context, where=where)
    meant = meaning(clauses, context.field, context.now, inside.local if where else None)
    if meant is None:
        return None
    readings = tuple(_meant(meant, clauses.zone or "", inside))
    if len(readings) == 1:
        return certain(readings[0])
    return Translation(meant.certainty, readings, meant.question, default=meant.default)


def _meant(meant: Meaning, zone: str, context: _Context) -> Iterator[Reading]:
    for option in meant.options:
        trigger = write(option.when, context.local) if isinstance(option.when, Calendar) else option.when
        why = f"Writes the phrase as {trigger.kind}."
        yield Reading(option.id, option.label, trigger, zone=zone, why=why)


_READERS: Sequence[Callable[[str, _Context], Translation | None]] = (
    _nickname, _wrapped, _time, _rule, _span, _repeating, _event, _cron, _line, _phrase,
)  # fmt: skip


def _nearest(text: str) -> str:
    """The three examples of phrases that are most similar, in the language of the text."""
    wanted = plain(text)
    examples = [example for language in LANGUAGES for example in language.EXAMPLES]
    examples.sort(key=lambda example: -SequenceMatcher(None, wanted, plain(example)).ratio())
    listed = ", ".join(f'"{example}"' for example in examples[:_SHOWN])
    return f"expected a cron expression such as 0 9 * * 1-5, or a phrase such as {listed}"
