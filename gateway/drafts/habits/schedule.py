"""The shape of a schedule. What a text about time means is decided by the scheduler; here it gets into its place."""

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.drafts.draft import ASSUMED, REMOVED, Ask, Draft, Option
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.durations import duration, written_duration
from gateway.drafts.habits.words import SCHEDULE_FIELDS, SCHEDULE_WORDS, TRIGGER_KINDS, TRIGGER_WORDS, folded
from gateway.drafts.tree import Array, Object, plain

MANUAL = frozenset(
    {"manual", "workflow_dispatch", "on_demand", "none", "api", "manual_trigger", "never", "once_manual"}
)
CLOCK = re.compile(r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::00)?")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
SPOKEN = re.compile(r"(today|tomorrow)[ ,]+(\d{1,2}(?::\d\d)?\s*(?:[ap]m)?)", re.IGNORECASE)
CRON = re.compile(r"[\d*/,?-]+(?:\s+[\w*/,?#-]+){4,6}")
LOCAL = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
UNITS = {"second": "s", "minute": "m", "hour": "h", "day": "d", "week": "w"}
TEXT_WORDS = frozenset(
    {"when", "expression", "on_calendar", "text", "phrase", "spec", "value", "pattern", "schedule_expression"}
)
DAY_WORDS = frozenset({"day", "on", "days", "weekday", "day_of_week", "day_of_month"})
CRON_PARTS = ("minute", "hour", "day_of_month", "month", "day_of_week")
CRON_PART_WORDS = {
    "minutes": "minute",
    "hours": "hour",
    "day": "day_of_month",
    "dom": "day_of_month",
    "months": "month",
    "dow": "day_of_week",
    "weekday": "day_of_week",
    "weekdays": "day_of_week",
    "month_of_year": "month",
    "day_of_month": "day_of_month",
    "days_of_week": "day_of_week",
}
ENABLED = {"enabled": True, "active": True, "is_active": True, "disabled": False, "paused": False, "is_paused": False}
PERIODS = frozenset({"daily", "weekly", "monthly"})
ZONE_WORDS = frozenset({"time_zone", *(word for word, target in SCHEDULE_WORDS.items() if target == "time_zone")})
WINDOW_WORDS = frozenset({"type", "kind", "name", "description", "id", "enabled"})


def schedule_shape(work: Work) -> None:
    """Brings a schedule into the form `{triggers: [{<kind>: …}], time_zone}`."""
    root, draft = work.draft.root, work.draft
    if not isinstance(root, Object):
        return
    if "schedule" in root and not isinstance(root["schedule"], Object):
        _wrap(draft, root)
    schedule = root.get("schedule")
    if not isinstance(schedule, Object):
        return
    inner = schedule.get("schedule")
    if isinstance(inner, Object | Array | str) and not set(schedule) & {"triggers"}:
        _unwrap_inner(draft, root, schedule, inner)
        schedule = root.get("schedule")
        if not isinstance(schedule, Object):
            return
    _single_time(draft, schedule)
    _rename(draft, schedule)
    _into_triggers(work, schedule)
    _trigger_list(draft, schedule)
    triggers = schedule.get("triggers")
    _default_zone(draft, schedule, triggers)
    if isinstance(triggers, Array):
        for index in range(len(triggers) - 1, -1, -1):
            _trigger(work, schedule, triggers, index)
        if not triggers:
            draft.remove(schedule, "triggers", "Without triggers, a task is started by hand.")
    if not schedule:
        draft.remove(root, "schedule", "Without a schedule, a task is started by hand.")
    _policies(draft, schedule)


def _wrap(draft: Draft, root: Object) -> None:
    value = root["schedule"]
    if value is None or (isinstance(value, str) and folded(value) in MANUAL):
        draft.remove(root, "schedule", "Without a schedule, a task is started by hand.")
    elif isinstance(value, str | Array | int | float):
        items = value if isinstance(value, Array) else Array([value], root.place_of("schedule"))
        wrapped = Object({"triggers": items}, root.place_of("schedule"))
        draft.put(root, "schedule", wrapped, "Puts the schedule into a list of triggers.")


def _unwrap_inner(draft: Draft, root: Object, schedule: Object, inner: Any) -> None:
    """Takes the schedule out of another object: `on: {schedule: [{cron: …}], workflow_dispatch: …}`."""
    for key in list(schedule):
        if folded(key) in MANUAL:
            draft.remove(schedule, key, "A task can always be started by hand.")
    if isinstance(inner, Object):
        for key in list(schedule):
            if key != "schedule" and key not in inner:
                draft.move(schedule, key, inner, key, f"Moves `{key}` into the schedule.")
        draft.put(root, "schedule", inner, "Takes the schedule out of a second object.")
        return
    draft.rename(schedule, "schedule", "triggers", "Renames `schedule` to `triggers`.")
    if isinstance(inner, str):
        draft.put(schedule, "triggers", Array([inner], schedule.place), "Makes a list of the trigger.")


def _single_time(draft: Draft, schedule: Object) -> None:
    """`{start_at: <time>}` without triggers: the task runs once, at that time."""
    [key, *remaining] = [key for key in schedule if folded(key) not in ZONE_WORDS] or [""]
    is_start = folded(key) in {"start_at", "starts_at", "start", "starts", "run_on", "execute_at", "fire_at"}
    if not remaining and is_start and isinstance(schedule[key], str) and TIME.fullmatch(schedule[key].strip()):
        draft.rename(schedule, key, "once", f"`{key}` without a trigger is the only time of the task.", ASSUMED)


def _rename(draft: Draft, schedule: Object) -> None:
    for key in list(schedule):
        name = folded(key)
        if key in SCHEDULE_FIELDS or key in TRIGGER_KINDS:
            continue
        if name in SCHEDULE_FIELDS and name not in schedule:
            schedule.renamed(key, name)
        elif (target := SCHEDULE_WORDS.get(name, key)) not in schedule and (
            target != "max_occurrences" or isinstance(schedule[key], int)
        ):
            draft.rename(schedule, key, target, f"Renames `{key}` to `{target}`.")
    zone = schedule.get("time_zone")
    if isinstance(zone, Object) and len(zone) == 1 and isinstance(name := next(iter(zone.values())), str):
        draft.put(schedule, "time_zone", name, "A time zone is a text.")
    if isinstance(zone, Array) and len(zone) == 1 and isinstance(zone[0], str):
        draft.put(schedule, "time_zone", zone[0], "A schedule has one time zone.")


def _into_triggers(work: Work, schedule: Object) -> None:
    """Moves what belongs to a trigger from the schedule into one."""
    draft = work.draft
    _enabled(work, schedule)
    own = [key for key in schedule if key not in SCHEDULE_FIELDS and folded(key) not in {"description", "name"}]
    if not own:
        return
    existing = schedule.get("triggers")
    if isinstance(existing, Array) and existing:
        return
    trigger = Object(place=schedule.place_of(own[0]))
    for key in own:
        trigger[key] = schedule[key]
        trigger.places[key] = schedule.place_of(key)
        schedule.pop(key)
    schedule["triggers"] = Array([trigger], trigger.place)
    draft.put(schedule, "triggers", schedule["triggers"], "Puts the trigger into the list of triggers.")


def _enabled(work: Work, holder: Object) -> None:
    for key in list(holder):
        name = folded(key)
        if name not in ENABLED or holder[key] is None:
            continue
        active = (str(holder[key]).lower() in {"true", "yes", "on", "1"}) is ENABLED[name]
        if active:
            work.draft.remove(holder, key, "A schedule is active unless its task is paused.")
        else:
            work.notes["paused"] = True
            work.draft.remove(holder, key, "A task is paused with `PauseTask` after it was created.", ASSUMED)


def ask_paused(work: Work) -> None:
    """Asks about a document with `enabled: false`: without the schedule, or active."""
    root = work.draft.root
    if not isinstance(root, Object):
        return
    if work.notes.get("paused") is None:
        _enabled(work, root)
    if str(root.get("state", "")).upper() in {"PAUSED", "ACTIVE", "COMPLETED"}:
        work.notes["paused"] = work.notes.get("paused") or str(root["state"]).upper() != "ACTIVE"
        work.draft.remove(root, "state", "The state of a task is set by the server.", ASSUMED)
    schedule = root.get("schedule")
    if work.notes.get("paused") and isinstance(schedule, Object) and not work.notes.get("asked paused"):
        work.notes["asked paused"] = True
        options = [
            Option(
                "manual", "without its triggers: it runs only when it is started", [(schedule, "triggers", REMOVED)]
            ),
            Option("active", "active: it runs as scheduled, until it is paused", [(root, "schedule", schedule)]),
        ]
        text = "The document is disabled. A task is created active; how should it be created?"
        work.draft.ask(Ask(f"{work.prefix}enabled", text, options, "manual"))


def _trigger_list(draft: Draft, schedule: Object) -> None:
    triggers = schedule.get("triggers")
    if isinstance(triggers, Object):
        kinds = [key for key in triggers if key in TRIGGER_KINDS or folded(key) in TRIGGER_WORDS]
        if len(kinds) > 1 and len(kinds) == len(triggers) and "at" not in triggers:
            items: list[Any] = [Object({key: value}, triggers.place_of(key)) for key, value in triggers.items()]
        else:
            items = [triggers]
        draft.put(schedule, "triggers", Array(items, triggers.place), "Makes a list of the trigger.")
    elif isinstance(triggers, str | int | float):
        draft.put(
            schedule, "triggers", Array([triggers], schedule.place_of("triggers")), "Makes a list of the trigger."
        )


def _trigger(work: Work, schedule: Object, triggers: Array, index: int) -> None:
    draft, value = work.draft, triggers[index]
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        if isinstance(value, str) and folded(value) in MANUAL | {"schedule"}:
            draft.remove(triggers, index, "A task can always be started by hand.")
            return
        draft.put(
            triggers, index, Object(trigger_of(value), triggers.place_of(index)), "Names the kind of the trigger."
        )
    trigger = triggers[index]
    if not isinstance(trigger, Object):
        return
    inner = trigger.get("schedule")
    if isinstance(inner, str) and not set(trigger) & set(TRIGGER_KINDS):
        draft.rename(trigger, "schedule", "cron", "Renames `schedule` to `cron`.")
    elif isinstance(inner, Object) and not set(inner) & set(trigger):
        for key in list(inner):
            draft.move(inner, key, trigger, key, f"Moves `{key}` out of `schedule`.")
        trigger.pop("schedule")
    _enabled(work, trigger)
    _spellings(draft, trigger)
    _typed(draft, trigger)
    _members(draft, schedule, trigger, single=len(triggers) == 1)
    _phrases(draft, trigger)
    _values(draft, triggers, index)


def _default_zone(draft: Draft, schedule: Object, triggers: Any) -> None:
    if "time_zone" not in schedule and isinstance(triggers, Array) and any(_is_aws(item) for item in triggers):
        draft.put(schedule, "time_zone", "UTC", "Such schedules count in UTC if they name no zone.", ASSUMED)


def _is_aws(trigger: Any) -> bool:
    text = trigger.get("cron", trigger.get("expression")) if isinstance(trigger, Object) else trigger
    zoned = isinstance(trigger, Object) and any(folded(key) in {"time_zone", "timezone", "tz"} for key in trigger)
    return isinstance(text, str) and text.strip().startswith("cron(") and not zoned


def _spellings(draft: Draft, trigger: Object) -> None:
    for key in list(trigger):
        name = folded(key)
        word, _, unit = name.rpartition("_")
        if (unit, word) in {("at", "daily"), ("at", "weekly"), ("at", "monthly"), ("daily", "at")}:
            draft.rename(trigger, key, word if unit == "at" else unit, f"`{key}` is a time of the day.")
            continue
        if word in {"interval", "every", "period", "repeat_every"} and "interval" not in trigger:
            letter = UNITS.get(unit.rstrip("s")) or {"secs": "s", "sec": "s", "mins": "m", "min": "m"}.get(unit)
            if letter and (text := duration(trigger[key], letter)):
                draft.rename(trigger, key, "interval", f"Renames `{key}` to `interval`.")
                draft.put(trigger, "interval", text, "Writes the duration with a unit.")
                continue
        if key not in TRIGGER_KINDS and name in TRIGGER_KINDS and name not in trigger:
            draft.rename(trigger, key, name, f"Renames `{key}` to `{name}`.")
        elif name in {"with", "inputs", "input", "args", "parameters", "arguments"} and "params" not in trigger:
            draft.rename(trigger, key, "params", f"Renames `{key}` to `params`.")


def _members(draft: Draft, schedule: Object, trigger: Object, *, single: bool) -> None:
    """Members of a trigger: those of the schedule are moved there, the others renamed."""
    for key in list(trigger):
        name = folded(key)
        bound = name if name in {"start_time", "end_time"} else SCHEDULE_WORDS.get(name)
        if name in {"timezone", "tz", "zone"} and isinstance(trigger[key], str) and "time_zone" not in trigger:
            draft.rename(trigger, key, "time_zone", f"Renames `{key}` to `time_zone`.")
        elif bound in {"start_time", "end_time"}:
            if bound not in schedule and single:
                draft.move(trigger, key, schedule, str(bound), f"Moves `{key}` into the schedule.")
        elif name in TEXT_WORDS and isinstance(trigger[key], str) and not set(trigger) & set(TRIGGER_KINDS):
            draft.rename(trigger, key, "cron", f"Renames `{key}` to `cron`.")
        elif key not in TRIGGER_KINDS and (target := TRIGGER_WORDS.get(name)) and target not in trigger:
            draft.rename(trigger, key, target, f"Renames `{key}` to `{target}`.")


def _typed(draft: Draft, trigger: Object) -> None:
    """`{type: cron, expression: …}`: the kind is the key."""
    kind_key = next((key for key in trigger if folded(key) in {"type", "kind"} and isinstance(trigger[key], str)), None)
    if kind_key is None:
        return
    kind = folded(trigger[kind_key])
    value_key = next(
        (
            key
            for key in trigger
            if folded(key) in {"expression", "value", "spec", "expr", "schedule", "pattern", "config"}
        ),
        None,
    )
    if kind in MANUAL:
        trigger.pop(kind_key)
        return
    target = kind if kind in TRIGGER_KINDS else TRIGGER_WORDS.get(kind, "")
    if value_key is not None and (target or kind in {"schedule", "scheduled", "time", "timer"}):
        draft.rename(trigger, value_key, target or "cron", f"The kind of a trigger is its key: `{target or 'cron'}`.")
        trigger.pop(kind_key)
    elif target in trigger or kind in {
        "schedule",
        "scheduled",
        "time",
        "timer",
        "date",
        "one_time",
        "event",
        "webhook",
    }:
        draft.remove(trigger, kind_key, "The kind of a trigger is its key.")
    elif target == "interval" or kind in {"daily", "weekly", "monthly", "hourly"}:
        draft.remove(trigger, kind_key, "The kind of a trigger is its key.")
        if kind in {"daily", "weekly", "monthly", "hourly"}:
            trigger[kind] = None


def _phrases(draft: Draft, trigger: Object) -> None:
    """Several members that are one time: `{every: day, at: "09:00"}`, `{daily: "09:00"}`, `{minutes: 15}`."""
    if _units(draft, trigger) or _cron_fields(draft, trigger):
        return
    at_key = next((key for key in trigger if folded(key) in {"at", "time", "at_time", "hour_of_day"}), None)
    at = trigger.get(at_key) if at_key else None
    if isinstance(word := trigger.get("interval"), str) and folded(word) in PERIODS and folded(word) not in trigger:
        draft.rename(trigger, "interval", folded(word), f"`{word}` is the period of the trigger.")
        trigger[folded(word)] = None
    period_key = next(
        (key for key in trigger if folded(key) in {"daily", "weekly", "monthly", "hourly", "yearly"}), None
    )
    if period_key is not None:
        _period(draft, trigger, period_key, at_key)
        return
    if at_key is None or not isinstance(at, str | int | float):
        return
    on_key = next(
        (key for key in trigger if folded(key) in {"on", "day", "days", "weekday", "weekdays", "on_days"}), None
    )
    every = trigger.get("interval")
    if on_key is None and isinstance(every, Array) and all(str(day).lower()[:3] in DAYS for day in every):
        _combine(draft, trigger, ["interval", at_key], f"every {_words(every)}", str(at))
        return
    if isinstance(every, str) and not TIME.fullmatch(str(at)):
        days = f" on {_words(trigger[on_key])}" if on_key else ""
        word = "day" if every.strip().lower() in {"1d", "1 day", "24h", "day", "daily"} else every.strip()
        _combine(draft, trigger, [key for key in ("interval", at_key, on_key) if key], f"{_every(word)}{days}", str(at))
    elif on_key is not None:
        _combine(draft, trigger, [on_key, at_key], f"every {_words(trigger[on_key])}", str(at))
    elif (TIME.fullmatch(str(at)) and "once" not in trigger) or not set(trigger) & set(TRIGGER_KINDS):
        draft.rename(trigger, at_key, "once", f"Renames `{at_key}` to `once`.")


def _every(word: str) -> str:
    return word if word.lower().startswith(("every", "each")) else f"every {word}"


def _combine(draft: Draft, trigger: Object, keys: list[str], days: str, at: str) -> None:
    """One cron text for a day and a time: as fields where both are clear, in words otherwise."""
    text = _exact(days, at) or f"{days} at {at}"
    place = trigger.place_of(keys[0])
    before = {key: trigger[key] for key in keys}
    for key in keys:
        trigger.pop(key)
    trigger.places["cron"] = place
    draft.put(trigger, "cron", text, f"Writes {', '.join(f'`{key}`' for key in before)} as one time.")


def _exact(days: str, at: str) -> str | None:
    clock = CLOCK.fullmatch(at.strip())
    if clock is None:
        return None
    words = [word for word in re.split(r"[\s,]+|\band\b", days.lower().removeprefix("every ").strip()) if word]
    minute, hour = int(clock["minute"]), int(clock["hour"])
    if words == ["day"]:
        return f"{minute} {hour} * * *"
    if words in (["weekday"], ["weekdays"], ["workday"], ["business", "day"]):
        return f"{minute} {hour} * * 1-5"
    numbers = [DAYS.index(word[:3]) for word in words if word[:3] in DAYS and len(word) != 4]
    if words and len(numbers) == len(words):
        return f"{minute} {hour} * * {','.join(map(str, sorted(set(numbers))))}"
    return None


def _period(draft: Draft, trigger: Object, key: str, at_key: str | None) -> None:
    """`daily: "09:00"`, `weekly: {day: monday, at: "09:00"}`, `monthly: 1` with `at`."""
    period, value = folded(key), trigger[key]
    keys = [key, *([at_key] if at_key else [])]
    at, day = _time_and_day(value, trigger.get(at_key) if at_key else None)
    for name in list(trigger):
        if folded(name) in DAY_WORDS and day is None:
            day = trigger[name]
            keys.append(name)
    clock = CLOCK.fullmatch(at) if at else None
    if period == "hourly" and not at:
        _replace(draft, trigger, keys, "0 * * * *")
    elif period == "monthly" and isinstance(day, int) and clock:
        _replace(draft, trigger, keys, f"{int(clock['minute'])} {int(clock['hour'])} {day} * *")
    else:
        word = {"daily": "day", "weekly": "week", "monthly": "month", "hourly": "hour", "yearly": "year"}[period]
        days = f"every {_words(day)}" if period == "weekly" and day else f"every {word}"
        suffix = f" on {_words(day)}" if day and period != "weekly" else ""
        _combine(draft, trigger, keys, days + suffix, at or "00:00")


def _time_and_day(value: Any, at: Any) -> tuple[str, Any]:
    """The time and the day in the value of a period."""
    day = None
    if isinstance(value, Object):
        at = next((value[name] for name in value if folded(name) in {"at", "time", "hour"}), at)
        day = next((value[name] for name in value if folded(name) in DAY_WORDS), None)
    elif isinstance(value, str) and CLOCK.fullmatch(value.strip()):
        at = value.strip()
    elif isinstance(value, str | int | Array):
        day = value
    if isinstance(at, int) and 0 <= at <= 23:
        at = f"{at:02}:00"
    return str(at) if at is not None else "", day


def _replace(draft: Draft, trigger: Object, keys: list[str], text: str) -> None:
    place = trigger.place_of(keys[0])
    for key in keys:
        trigger.pop(key)
    trigger.places["cron"] = place
    draft.put(trigger, "cron", text, f"Writes {', '.join(f'`{key}`' for key in keys)} as cron.")


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _units(draft: Draft, trigger: Object) -> bool:
    """`{minutes: 15}`, `{every: 15, unit: minutes}`, `{interval: {hours: 2}}`."""
    inner = trigger.get("interval")
    holder = inner if isinstance(inner, Object) else trigger
    unit_key = next((key for key in holder if folded(key) in {"unit", "units", "period_unit"}), None)
    number_key = next((key for key in holder if folded(key) in {"interval", "value", "every", "amount", "count"}), None)
    if unit_key and number_key and isinstance(holder[unit_key], str) and isinstance(holder[number_key], int):
        unit = UNITS.get(holder[unit_key].lower().rstrip("s"))
        if unit:
            text = written_duration(f"{holder[number_key]}{unit}")
            if holder is trigger:
                draft.remove(trigger, unit_key, "The unit is part of the duration.")
                draft.put(trigger, "interval", text, "A duration has a unit.")
            else:
                draft.put(trigger, "interval", text, "A duration has a unit.")
            return True
    parts = {key: UNITS.get(folded(key).rstrip("s")) for key in holder}
    durations = [key for key, unit in parts.items() if unit and folded(key).endswith("s") and _is_number(holder[key])]
    if not durations or set(holder) - set(durations) - {"params", "id"} or (holder is trigger and "cron" in trigger):
        return False
    text = written_duration("".join(f"{holder[key]}{parts[key]}" for key in durations))
    if holder is trigger:
        for key in durations:
            trigger.pop(key)
    draft.put(trigger, "interval", text, "Writes the interval as one duration.")
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _cron_fields(draft: Draft, trigger: Object) -> bool:
    """`{minute: 0, hour: 9}`, also as the value of `cron`: the other fields are `*`."""
    inner = trigger.get("cron")
    holder = inner if isinstance(inner, Object) else trigger
    value_key = next((key for key in holder if folded(key) in {"expression", "value", "schedule"}), None)
    if isinstance(inner, Object) and value_key is not None:
        for key in list(inner):
            if key != value_key and key not in trigger:
                draft.move(inner, key, trigger, key, f"Moves `{key}` out of `cron`.")
        draft.put(trigger, "cron", inner[value_key], "The value of `cron` is a text.")
        return False
    parts = {CRON_PART_WORDS.get(folded(key), folded(key)): key for key in holder}
    found = {part: key for part, key in parts.items() if part in CRON_PARTS}
    if not {"minute", "hour"} & set(found) or not all(isinstance(holder[key], str | int) for key in found.values()):
        return False
    if set(TRIGGER_KINDS) & set(trigger) - ({"cron"} if holder is inner else set()):
        return False
    values = [str(holder[found[part]]) if part in found else "*" for part in CRON_PARTS]
    if "minute" not in found:  # every minute of the hour is hardly meant
        values[0] = "0"
    if holder is trigger:
        for key in found.values():
            trigger.pop(key)
    certainty = ASSUMED if "minute" not in found else None
    why = "Writes the fields as one cron expression."
    draft.put(trigger, "cron", " ".join(values), why, *([certainty] if certainty else []))
    return True


def _values(draft: Draft, triggers: Array, index: int) -> None:
    """The value of a trigger: lists are several triggers; what is not a duration is not an interval."""
    trigger = triggers[index]
    for kind in TRIGGER_KINDS:
        value = trigger.get(kind)
        if isinstance(value, Array) and value and kind != "event":
            remaining = {key: item for key, item in trigger.items() if key != kind}
            items = [Object({**remaining, kind: item}, trigger.place_of(kind)) for item in value]
            triggers[index : index + 1] = items
            triggers.places = []
            draft.note(f"Makes one trigger of each `{kind}`.", trigger.place_of(kind), plain(value), plain(items))
            return
    if isinstance(event := trigger.get("event"), str):
        draft.put(trigger, "event", {"topic": event}, "An event trigger has a `topic`.")
        event = trigger["event"]
        for key in list(trigger):
            if folded(key) in {"when", "filter", "condition", "if", "where", "match"}:
                draft.move(trigger, key, event, "when", f"Moves `{key}` into the event.")
    elif isinstance(event, Object):
        _event(draft, event)
    if isinstance(rule := trigger.get("rrule"), Object):
        names = {**dict.fromkeys(("hour", "minute", "second", "month", "day"), ""), "weekday": "DAY", "days": "DAY"}
        rule = {f"by{names[folded(key)] or key}" if folded(key) in names else key: item for key, item in rule.items()}
        if "byminute" in {key.lower() for key in rule} and "bysecond" not in {key.lower() for key in rule}:
            rule["bysecond"] = 0
        parts = (
            f"{key.upper()}={','.join(map(str, item)) if isinstance(item, Array) else item}"
            for key, item in rule.items()
        )
        draft.put(trigger, "rrule", ";".join(parts).upper(), "A rule is a text.")
    _spoken(draft, trigger)
    if isinstance(cron := trigger.get("cron"), str):
        _misplaced_cron(draft, trigger, cron)
    _interval(draft, trigger)


def _spoken(draft: Draft, trigger: Object) -> None:
    """`tomorrow 9:00`."""
    once = trigger.get("once")
    spoken = SPOKEN.fullmatch(once.strip()) if isinstance(once, str) else None
    if spoken is not None:
        draft.put(trigger, "once", f"{spoken[1]} at {spoken[2]}", "Writes the phrase with `at`.")


def _event(draft: Draft, event: Object) -> None:
    words = {
        "type": "topic",
        "name": "topic",
        "event": "topic",
        "filter": "when",
        "condition": "when",
        "if": "when",
        "where": "when",
    }
    for key in list(event):
        target = words.get(folded(key))
        if target and target not in event:
            draft.rename(event, key, target, f"Renames `{key}` to `{target}`.")


def _misplaced_cron(draft: Draft, trigger: Object, text: str) -> None:
    kind, value = next(iter(trigger_of(text).items()))
    if kind != "cron" and kind not in trigger:
        draft.rename(trigger, "cron", kind, f"`{text[:60]}` is a trigger of the kind `{kind}`.")
        draft.put(trigger, kind, value, "Writes the duration with a unit.") if value != text else None


def _interval(draft: Draft, trigger: Object) -> None:
    value = trigger.get("interval")
    if value is None:
        return
    text = duration(value)
    if text is not None:
        if text != value:
            draft.put(trigger, "interval", text, "Writes the duration with a unit.")
    elif isinstance(value, str) and "cron" not in trigger and CRON.fullmatch(value.strip()):
        draft.rename(trigger, "interval", "cron", "It is a cron expression.")
    elif isinstance(value, str) and "cron" not in trigger:
        draft.rename(trigger, "interval", "cron", "It is not a duration: the scheduler reads it as a text.")
        draft.put(trigger, "cron", _every(value), "Writes it as a phrase.") if _every(value) != value else None


def trigger_of(value: Any) -> dict[str, Any]:
    """The trigger that a bare value is.

    >>> trigger_of("0 9 * * *"), trigger_of("5m"), trigger_of("2026-01-01T09:00:00Z"), trigger_of(300)
    ({'cron': '0 9 * * *'}, {'interval': '5m'}, {'once': '2026-01-01T09:00:00Z'}, {'interval': '300s'})
    """
    if isinstance(value, int | float):
        return {"interval": f"{value:g}s"}
    text = str(value).strip()
    if text.upper().startswith(("RRULE:", "FREQ=", "DTSTART")):
        return {"rrule": text}
    if TIME.fullmatch(text):
        return {"once": text}
    if (span := duration(text)) is not None and not text.isdecimal():
        return {"interval": span}
    return {"cron": text}


def window(work: Work) -> None:
    """Days and local times of the window become instants in the zone of the schedule."""
    schedule = work.draft.root.get("schedule") if isinstance(work.draft.root, Object) else None
    if not isinstance(schedule, Object):
        return
    for key in ("start_time", "end_time"):
        value = schedule.get(key)
        if not isinstance(value, str) or not LOCAL.fullmatch(value.strip()):
            continue
        try:
            zone = ZoneInfo(str(schedule.get("time_zone") or "UTC"))
            instant = datetime.fromisoformat(value.strip().replace(" ", "T")).replace(tzinfo=zone)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            continue
        text = instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        work.draft.put(schedule, key, text, "Writes the local time with its offset.", ASSUMED)


def _policies(draft: Draft, schedule: Object) -> None:
    """`catch_up: false`, `exclusions: [2026-12-25]`, `description` of a schedule."""
    policy = schedule.get("catch_up")
    if isinstance(policy, bool):
        value = {"policy": "ALL" if policy else "NONE"}
        draft.put(schedule, "catch_up", value, "A catch-up has a policy.")
    elif isinstance(policy, str):
        names = {
            "latest": "LATEST",
            "last": "LATEST",
            "one": "LATEST",
            "all": "ALL",
            "none": "NONE",
            "skip": "NONE",
            "ignore": "NONE",
        }
        name = names.get(policy.lower())
        if name:
            draft.put(schedule, "catch_up", {"policy": name}, "A catch-up has a policy.")
    exclusions = schedule.get("exclusions")
    if isinstance(exclusions, str | Object):
        exclusions = Array([exclusions], schedule.place_of("exclusions"))
        draft.put(schedule, "exclusions", exclusions, "Makes a list.")
    for index, item in enumerate(exclusions if isinstance(exclusions, Array) else ()):
        if isinstance(item, str):
            kind = "rrule" if "FREQ=" in item else "date"
            draft.put(schedule["exclusions"], index, {kind: item}, "Names the kind of the exclusion.")
    for key in list(schedule):
        if folded(key) in {"description", "name", "comment", "id"} and key not in SCHEDULE_FIELDS:
            draft.drop(schedule, key, f"A schedule has no `{key}`.")
