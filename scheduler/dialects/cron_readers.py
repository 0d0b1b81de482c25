"""Reads cron expressions and crontab lines in every dialect that has them."""

import re
from dataclasses import replace

from scheduler.dialects.context import Context, sole
from scheduler.dialects.cron_dialects import EVENT_BRIDGE, FIVE_FIELDS, Dialect, calendars
from scheduler.dialects.crontab import split_line, unwrapped, without_hash
from scheduler.dialects.on_calendar import SHORTHANDS, on_calendar
from scheduler.dialects.time_readers import once_of
from scheduler.dialects.translation import Certainty, InexpressibleError, Reading, TimeText, Translation, certain
from scheduler.dialects.writing import write
from scheduler.triggers.cron.parse import NICKNAMES, parse_cron
from scheduler.triggers.localtime.zone import zone_names
from scheduler.triggers.problem import ScheduleError

_BLANKS = re.compile(r"\s*([-,])\s*|(?<=[0-9*])\s*(/)\s*(?=[0-9])")
_ZONE = re.compile(r"\(?(?:[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+|UTC)\)?")
_WHICH = "Which dialect is it?"


def nickname(text: str, context: Context) -> Translation | None:
    """Reads `@daily` and the other nicknames of cron.

    Raises:
        InexpressibleError: it is `@reboot`, which is not a time.
    """
    if not text.startswith("@") or text.lower().startswith("@every"):
        return None
    if text.lower() == "@reboot":
        raise InexpressibleError("@reboot is not a time; expected a time such as @daily, or an event trigger")
    if text.lower() in NICKNAMES:
        return sole(TimeText("cron", text.lower()), "crontab")
    event = on_calendar(text[1:]) if text[1:].lower() in SHORTHANDS else None
    return sole(write(event[0], context.local), "a nickname") if event else None


def wrapped(text: str, context: Context) -> Translation | None:
    """Reads `cron(…)` and `at(…)` of Amazon EventBridge."""
    parts = unwrapped(text)
    if parts is None:
        return None
    name, content = parts
    if name == "at":
        return sole(once_of(content), "Amazon EventBridge")
    return _of_calendars(content.split(), EVENT_BRIDGE, context)


def cron(text: str, context: Context) -> Translation | None:
    """Reads five to seven fields, also with blanks around `-`, `,` and `/`, and with the H of Jenkins.

    Raises:
        InexpressibleError: a dialect has the text, and a trigger cannot express it.
    """
    *head, last = text.split() or [""]
    if len(head) >= len("mhDMW") and _ZONE.fullmatch(last) and last.strip("()") in zone_names():
        inner = cron(" ".join(head), context)
        zoned = [replace(reading, zone=last.strip("()")) for reading in inner.readings] if inner else []
        return replace(inner, readings=zoned) if inner else None
    for candidate in dict.fromkeys((text, _BLANKS.sub(lambda match: match[1] or match[2], text))):
        words = candidate.split()
        translation = _of_calendars(words, None, context) or _hashed(words)
        if translation is not None:
            return translation
    return None


def _of_calendars(words: list[str], dialects: tuple[Dialect, ...] | None, context: Context) -> Translation | None:
    matches, _ = calendars(words, dialects) if dialects else calendars(words)
    triggers: dict[TimeText, list[Dialect]] = {}
    for dialect, calendar in matches:
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
    is_mistake = any(dialect.loose for dialect, _ in matches)
    return Translation(Certainty.ASK, readings, _WHICH, default="" if is_mistake else readings[0].id)


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


def crontab_line(text: str, context: Context) -> Translation | None:
    """Reads a time with a command: asks whether the command is dropped or becomes a param."""
    line = split_line(context.original) or split_line(text)
    if line is None:
        return None
    inner = nickname(line.time, context) or cron(line.time, context)
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
