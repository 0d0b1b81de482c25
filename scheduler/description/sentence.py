"""Describes a whole schedule in one or two sentences."""

from datetime import UTC, datetime, timedelta

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from ordinaut.v1.schedule_pb2 import Schedule, Trigger
from scheduler.description.cron_words import cron_words
from scheduler.description.english import English
from scheduler.description.language import Language
from scheduler.description.romanian import Romanian
from scheduler.description.rule_words import rule_words
from scheduler.firing.catch_up_policy import ALL, DEFAULT_WINDOW, CatchUpPolicy
from scheduler.triggers.once import parse_once

LANGUAGES: dict[str, Language] = {language.code: language for language in (English(), Romanian())}
DEFAULT = English.code
_UNITS = (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
_SHORT_UNITS = (("h", 3600), ("min", 60), ("s", 1))


def sentence(schedule: Schedule, now: datetime, code: str = DEFAULT) -> str:
    """When a completed schedule runs, in that language.

    Raises:
        ScheduleError: a trigger cannot be parsed.
    """
    language = LANGUAGES[code]
    if not schedule.triggers:
        return language.runs(language.never())
    zones = {trigger.time_zone or schedule.time_zone for trigger in schedule.triggers if _is_local(trigger)}
    parts = [language.listed([_trigger(trigger, language) for trigger in schedule.triggers])]
    if len(zones) > 1:
        parts = [language.listed([_with_zone(trigger, schedule, language) for trigger in schedule.triggers])]
    elif zones:
        parts.append(language.in_zone(zones.pop()))
    parts += _limits(schedule, now, language)
    return language.runs(", ".join(parts))


def explanation(schedule: Schedule, now: datetime, code: str = DEFAULT) -> str:
    """The sentence, and a second one about missed occurrences if the schedule has times.

    Raises:
        ScheduleError: a trigger cannot be parsed.
    """
    missed = _missed(schedule, LANGUAGES[code])
    return " ".join([sentence(schedule, now, code), *([missed] if missed else [])])


def _missed(schedule: Schedule, language: Language) -> str:
    kinds = {trigger.WhichOneof("kind") for trigger in schedule.triggers} - {"event"}
    if not kinds:
        return ""
    policy = CatchUpPolicy.of(MessageToDict(schedule, preserving_proto_field_name=True))
    window = policy.window
    if window is None and policy.name != ALL and kinds != {"once"}:
        window = DEFAULT_WINDOW
    late = _span(window // timedelta(seconds=1)) if window is not None else ""
    match policy.name:
        case "NONE":
            return language.none_missed()
        case "ALL":
            return language.all_missed(policy.keep, late)
    return language.newest_missed(late)


def _trigger(trigger: Trigger, language: Language) -> str:
    match trigger.WhichOneof("kind"):
        case "cron":
            return cron_words(trigger.cron, language)
        case "rrule":
            return rule_words(trigger.rrule, language)
        case "interval":
            unit, seconds = next(entry for entry in _UNITS if trigger.interval.seconds % entry[1] == 0)
            return language.every(unit, trigger.interval.seconds // seconds)
        case "once":
            time = parse_once(trigger.once)
            return language.once(time.isoformat(sep=" ", timespec="minutes"))
    return language.on_event(trigger.event.topic, conditional=bool(trigger.event.when))


def _with_zone(trigger: Trigger, schedule: Schedule, language: Language) -> str:
    words = _trigger(trigger, language)
    return f"{words} {language.in_zone(trigger.time_zone or schedule.time_zone)}" if _is_local(trigger) else words


def _is_local(trigger: Trigger) -> bool:
    kind = trigger.WhichOneof("kind")
    return kind in ("cron", "rrule") or (kind == "once" and parse_once(trigger.once).tzinfo is None)


def _limits(schedule: Schedule, now: datetime, language: Language) -> list[str]:
    phrases = []
    if schedule.HasField("start_time") and _time(schedule.start_time) > now + timedelta(days=1):
        phrases.append(language.since(_written(schedule.start_time)))
    if schedule.HasField("end_time"):
        phrases.append(language.until(_written(schedule.end_time)))
    if schedule.max_occurrences:
        phrases.append(language.times(schedule.max_occurrences))
    if schedule.exclusions:
        days = [exclusion.date for exclusion in schedule.exclusions if exclusion.date]
        rules = [rule_words(entry.rrule, language, with_clock=False) for entry in schedule.exclusions if entry.rrule]
        phrases.append(language.without(days, rules))
    if schedule.HasField("jitter") and schedule.jitter.seconds:
        phrases.append(language.later(_span(schedule.jitter.seconds)))
    return phrases


def _span(seconds: int) -> str:
    number, unit = next((seconds // size, unit) for unit, size in _SHORT_UNITS if seconds % size == 0)
    return f"{number} {unit}"


def _time(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)


def _written(stamp: Timestamp) -> str:
    return f"{_time(stamp):%Y-%m-%d %H:%M} UTC"
