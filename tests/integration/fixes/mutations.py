"""Mistakes that models and people make, applied at random places of a valid document."""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

KEYS = {
    "uses": ("use", "tool", "action", "call", "Uses"),
    "with": ("args", "input", "parameters", "wth"),
    "if": ("when", "condition", "only_if"),
    "save_as": ("as", "register", "saveAs", "save_ass"),
    "retry": ("retries", "attempts"),
    "on_error": ("catch", "onError", "on_failure"),
    "do": ("steps", "then", "body"),
    "branches": ("parallel", "fork"),
    "foreach": ("for_each", "loop", "items"),
    "until": ("repeat_until", "while"),
    "every": ("interval", "poll_every"),
    "steps": ("tasks", "stages", "stepz"),
    "output": ("result", "outputs"),
    "timeout": ("timout", "timeOut"),
    "time_zone": ("timezone", "tz", "timeZone", "time-zone"),
    "triggers": ("trigger", "triger", "Triggers"),
    "cron": ("crn", "schedule"),
    "interval": ("every", "intervall"),
    "params": ("parameters", "parms", "inputs"),
    "display_name": ("displayName", "display_nam", "title"),
    "run_policy": ("runPolicy", "run_polcy"),
    "priority": ("prio", "priorty"),
    "schedule": ("schedul", "schedules"),
    "pipeline": ("pipelin", "workflow"),
    "params_schema": ("paramsSchema", "param_schema"),
}
TEXTS = {
    "cron": ("0 0 9 * * ?", "0 0 12 ? * MON-FRI", "0/15 * * * *", "0 9 ? * 1", "61 * * * *", "@dayly", "0 9 * *",
             "0 10 * * ? *", "30 */2 * * * *", "9am", "0 9 * * fri-mon", ""),
    "rrule": ("FREQ=DALY", "RRULE:FREQ=WEEKLY;BYDAY=MON", "FREQ=DAILY;COUNT=0", "every day",
              "DTSTART;TZID=Europe/Bucuresti:20260601T090000\nRRULE:FREQ=DAILY",
              "DTSTART;TZID=CEST:20260601T090000\nRRULE:FREQ=DAILY"),
    "time_zone": ("Chisinau", "europe/bucharest", "Europe/Bucuresti", "GMT+2", "MSK", "CEST", "Asia/Mumbai", "EST5",
                  "utc", "Z", "W. Europe Standard Time", "Mars/Base", ""),
    "interval": (30, "30", "30 sec", "1 hour", "0s", "-5s", "PT1H30M", "5 minutes"),
    "once": ("tomorrow", "2026-13-01T00:00:00Z", "2020-01-01T00:00:00Z", "01.02.2027"),
    "timeout": (30, "30", "5 min", "soon", 0, "99d"),
    "every": (5, "1ms", "10 seconds"),
    "retry": ("3", -1, {"max": "2"}, {"retries": 2, "backoff": 2}, {"max": 2, "jitter": True}),
    "jitter": (30, "5 min", "2d"),
    "priority": ("5", 50, "high"),
    "policy": ("skip", "buffer_all", "allow", "SKP"),
    "uses": ("orchestrator.sleep", "orchestrator.se", "state.set", "set", "calendar.list", "calendar.list_event",
             "calender.list_events", "orchestrator.put_stat", "weather.forcast", "http.request", "delay"),
    "if": ("steps.first.x == 'a", "step.first.x > 1", "steps.frist.x > 1", "steps.first.x and true", "not params.n",
           "params.cty == 'x'", "a ? b", "steps.first.x is not null"),
    "id": ("Fetch Data", "on_error", "1st", "", "first"),
    "save_as": ("My Result", "first", "on_error"),
    "on_error": ("ignore", "skip", "continu", {"id": "h", "uses": "orchestrator.set"}),
}  # fmt: skip
Place = tuple[Any, Any]


def mutated(document: Any, random: Random) -> Any:
    """A copy of a document with one to four mistakes."""
    changed = json.loads(json.dumps(document))  # without shared parts
    for _ in range(random.choice((1, 1, 2, 3, 4))):
        places = list(_places(changed))
        if places:
            random.choice(MISTAKES)(random, *random.choice(places))
    return changed


def _places(value: Any) -> Iterator[Place]:
    """Every member of every object and list, as container and key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _places(item)


def _misspelled(random: Random, container: Any, key: Any) -> None:
    if not isinstance(container, dict) or not key:
        return
    index = random.randrange(len(key))
    variants = [key[:index] + key[index + 1 :], key[:index] + key[index] + key[index:], key.upper(), *KEYS.get(key, ())]
    renamed = random.choice(variants)
    if renamed and renamed not in container:
        members = [(renamed if name == key else name, value) for name, value in container.items()]
        container.clear()
        container.update(members)


def _unknown(random: Random, container: Any, _key: Any) -> None:
    if isinstance(container, dict):
        container[random.choice(("colour", "enabled", "comment", "depends_on", "a.b", "x/y"))] = random.choice((1, "x"))


def _replaced_text(random: Random, container: Any, key: Any) -> None:
    if key in TEXTS:
        container[key] = copy.deepcopy(random.choice(TEXTS[key]))
    else:
        _retyped(random, container, key)


def _retyped(random: Random, container: Any, key: Any) -> None:
    value = container[key]
    if isinstance(value, str):
        choices: list[Any] = [1, [value], None, value.upper(), f" {value} ", {"value": value}]
    elif isinstance(value, bool):
        choices = [str(value).lower(), int(value), "yes"]
    elif isinstance(value, int | float):
        choices = [str(value), [value], -1, value + 0.5, 10**17, f"{value}s"]
    elif isinstance(value, list):
        choices = [value[0] if value else {}, {}, "", dict(enumerate_names(value))]
    else:
        choices = [[value], "", None, str(value)]
    container[key] = random.choice(choices)


def enumerate_names(values: list[Any]) -> Iterator[tuple[str, Any]]:
    """Names the elements of a list."""
    return ((f"n{index}", value) for index, value in enumerate(values))


def _repeated(_random: Random, container: Any, key: Any) -> None:
    if isinstance(container, list):
        container.append(copy.deepcopy(container[key]))


def _removed(_random: Random, container: Any, key: Any) -> None:
    del container[key]


def _broken_template(random: Random, container: Any, key: Any) -> None:
    if isinstance(container[key], str) and "${" in container[key]:
        text = container[key]
        wrong = (("steps.", "step."), ("steps.", "stepz."), ("${", "{{"), ("}", ""), ("params.", "parms."), (".", ".."))
        container[key] = text.replace(*random.choice(wrong))
    else:
        _replaced_text(random, container, key)


MISTAKES: tuple[Callable[[Random, Any, Any], None], ...] = (
    *(_misspelled, _misspelled, _unknown, _replaced_text, _replaced_text, _replaced_text),
    *(_retyped, _repeated, _removed, _broken_template),
)
