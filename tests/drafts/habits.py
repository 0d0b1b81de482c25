"""The inverse of habits: valid tasks written as authors of other systems write them. The meaning does not change."""

import json
import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

Document = dict[str, Any]
Habit = Callable[[Document, Random], bool]
PLACEHOLDER = re.compile(r"\$\{([^{}]*)\}")
CLOCK = re.compile(r"(\d+) (\d+) (\S+) (\S+) (\S+)")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
WINDOWS = {"Europe/Berlin": "W. Europe Standard Time", "Europe/Bucharest": "GTB Standard Time"}
ALIASES = {
    "weather.forecast": ("weather_forecast", "Weather.Forecast"),
    "mail.send": ("mail-send", "tools/mail.send"),
    "chat.post": ("chat_post", "chat.post@v1"),
    "orchestrator.wait": ("sleep", "delay"),
    "orchestrator.emit": ("publish", "emit"),
    "orchestrator.put_state": ("state.set", "put_state"),
    "orchestrator.get_state": ("state.get", "get_state"),
    "orchestrator.request_approval": ("approval", "request_approval"),
}
UNITS = {"s": ("seconds", 1), "m": ("minutes", 60), "h": ("hours", 3600), "d": ("days", 86400)}


def steps_of(value: Any) -> Iterator[Document]:
    """Yields every step of a pipeline."""
    if isinstance(value, list):
        for item in value:
            yield from steps_of(item)
    elif isinstance(value, dict):
        if "id" in value and {"uses", "do", "branches"} & value.keys():
            yield value
        for key, item in value.items():
            if key != "with":
                yield from steps_of(item)


def _renamed_in_steps(old: str, *names: str) -> Habit:
    def habit(task: Document, random: Random) -> bool:
        name = random.choice(names)
        steps = [step for step in steps_of(task["pipeline"]) if old in step and name not in step]
        for step in steps:
            _rename(step, old, name)
        return bool(steps)

    habit.__name__ = f"{old} is {' or '.join(names)}"
    return habit


def _rename(owner: Document, old: str, new: str) -> None:
    items = [(new if key == old else key, value) for key, value in owner.items()]
    owner.clear()
    owner.update(items)


def _renamed(path: tuple[str, ...], old: str, *names: str) -> Habit:
    def habit(task: Document, random: Random) -> bool:
        owner: Any = task
        for key in path:
            owner = owner.get(key, {})
        if old not in owner:
            return False
        _rename(owner, old, random.choice(names))
        return True

    habit.__name__ = f"{'.'.join([*path, old])} is {' or '.join(names)}"
    return habit


def seconds_as_number(task: Document, _random: Random) -> bool:
    """`timeout: 30s` is `timeout: 30`."""
    changed = False
    for step in steps_of(task["pipeline"]):
        if (match := re.fullmatch(r"(\d+)s", str(step.get("timeout")))) is not None:
            step["timeout"] = int(match[1])
            changed = True
    return changed


def spans_in_words(task: Document, _random: Random) -> bool:
    """`5m` is `5 minutes`, in timeouts and intervals."""
    owners: list[tuple[Document, str]] = [(step, "timeout") for step in steps_of(task["pipeline"])]
    owners += [(trigger, "interval") for trigger in (task.get("schedule") or {}).get("triggers", ())]
    changed = False
    for owner, key in owners:
        if (match := re.fullmatch(r"(\d+)([smhd])", str(owner.get(key)))) is not None:
            owner[key] = f"{match[1]} {UNITS[match[2]][0]}"
            changed = True
    return changed


def retries(task: Document, _random: Random) -> bool:
    """`retry: 3` is `retries: 3`."""
    steps = [step for step in steps_of(task["pipeline"]) if type(step.get("retry")) is int]
    for step in steps:
        _rename(step, "retry", "retries")
    return bool(steps)


def continue_on_error(task: Document, random: Random) -> bool:
    """`on_error: continue` is a flag."""
    steps = [step for step in steps_of(task["pipeline"]) if step.get("on_error") == "continue"]
    for step in steps:
        del step["on_error"]
        step[random.choice(("continue_on_error", "continue-on-error", "ignore_errors"))] = True
    return bool(steps)


def flat_pipeline(task: Document, _random: Random) -> bool:
    """The steps and the rest of the pipeline are at the top."""
    pipeline = task["pipeline"]
    if "steps" not in pipeline or pipeline.keys() & task.keys():
        return False
    del task["pipeline"]
    pipeline.pop("version", None)
    task.update(pipeline)
    return True


def flat_trigger(task: Document, _random: Random) -> bool:
    """The only trigger is a member of the schedule."""
    schedule = task.get("schedule") or {}
    if len(schedule.get("triggers", ())) != 1 or set(schedule["triggers"][0]) not in ({"cron"}, {"interval"}, {"once"}):
        return False
    schedule.update(schedule.pop("triggers")[0])
    return True


def no_version(task: Document, _random: Random) -> bool:
    """The version is missing."""
    return task["pipeline"].pop("version", None) is not None


def bare_name(task: Document, _random: Random) -> bool:
    """The name is without its collection."""
    if not str(task.get("name", "")).startswith("tasks/"):
        return False
    task["name"] = task["name"].removeprefix("tasks/")
    return True


def foreign_templates(task: Document, random: Random) -> bool:
    """`${x}` is `{{ x }}` or `${{ x }}`."""
    form = random.choice(("{{{{ {} }}}}", "{{{{{}}}}}", "${{{{ {} }}}}"))
    return _rewrite(task["pipeline"], lambda text: PLACEHOLDER.sub(lambda match: form.format(match[1].strip()), text))


def steps_output(task: Document, random: Random) -> bool:
    """`steps.a.x` is `steps.a.output.x`, for tools that declare their outputs."""
    word = random.choice(("output", "outputs", "result"))
    names = [
        s["id"]
        for s in steps_of(task["pipeline"])
        if not str(s.get("uses", "orchestrator.")).startswith("orchestrator.") and "foreach" not in s
    ]
    if not names or "foreach" in json.dumps(task["pipeline"]):
        return False
    path = re.compile(rf"\bsteps\.({'|'.join(names)})\.")
    return _rewrite(task["pipeline"], lambda text: path.sub(rf"steps.\1.{word}.", text))


def python_operators(task: Document, _random: Random) -> bool:
    """`&&` is `and`, `||` is `or`, `length` is `len`."""

    def rewrite(text: str) -> str:
        return text.replace(" && ", " and ").replace("length(", "len(")

    return _rewrite_conditions(task["pipeline"], rewrite)


def wrapped_conditions(task: Document, random: Random) -> bool:
    """`if: x` is `if: ${x}` or `if: "{{ x }}"`."""
    form = random.choice(("${{{}}}", "{{{{ {} }}}}"))
    return _rewrite_conditions(task["pipeline"], lambda text: text if "{" in text else form.format(text))


def _rewrite_conditions(pipeline: Any, rewrite: Callable[[str], str]) -> bool:
    changed = False
    for step in steps_of(pipeline):
        for key in ("if", "foreach"):
            if isinstance(step.get(key), str) and rewrite(step[key]) != step[key]:
                step[key] = rewrite(step[key])
                changed = True
    return changed


def _rewrite(value: Any, rewrite: Callable[[str], str]) -> bool:
    changed = False
    for key, item in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
        if isinstance(item, str):
            if "$${" not in item and rewrite(item) != item:
                value[key] = rewrite(item)
                changed = True
        elif isinstance(item, dict | list):
            changed = _rewrite(item, rewrite) or changed
    return changed


def quartz(task: Document, _random: Random) -> bool:
    """Cron with seconds, `?` and names of days."""
    return _crons(task, lambda minute, hour, day, month, week: f"0 {minute} {hour} {day} {month} {week}")


def aws(task: Document, _random: Random) -> bool:
    """Cron of EventBridge, with the year last."""
    return _crons(task, lambda minute, hour, day, month, week: f"cron({minute} {hour} {day} {month} {week} *)")


def _crons(task: Document, form: Callable[..., str]) -> bool:
    changed = False
    for trigger in (task.get("schedule") or {}).get("triggers", ()):
        match = CLOCK.fullmatch(str(trigger.get("cron")))
        if match is None or (match[3] != "*" and match[5] != "*"):
            continue
        week = re.sub(r"\d", lambda digit: DAYS[int(digit[0])], match[5])
        day, week = (match[3], "?") if week == "*" else ("?", week)
        trigger["cron"] = form(match[1], match[2], day, match[4], week)
        changed = True
    return changed


def windows_zone(task: Document, _random: Random) -> bool:
    """The zone has the name that Windows uses."""
    schedule = task.get("schedule") or {}
    if schedule.get("time_zone") not in WINDOWS:
        return False
    schedule["time_zone"] = WINDOWS[schedule["time_zone"]]
    return True


def tool_names(task: Document, random: Random) -> bool:
    """Tools have names in other spellings, or those of other systems."""
    steps = [step for step in steps_of(task["pipeline"]) if step.get("uses") in ALIASES]
    for step in steps:
        step["uses"] = random.choice(ALIASES[step["uses"]])
    return bool(steps)


HABITS: tuple[Habit, ...] = (
    tool_names,
    python_operators,
    steps_output,
    wrapped_conditions,
    foreign_templates,
    seconds_as_number,
    spans_in_words,
    retries,
    continue_on_error,
    quartz,
    aws,
    windows_zone,
    flat_trigger,
    no_version,
    bare_name,
    _renamed(("schedule",), "time_zone", "timezone", "tz", "timeZone"),
    _renamed((), "run_policy", "runPolicy"),
    _renamed((), "params_schema", "paramsSchema"),
    _renamed(("pipeline",), "steps", "tasks", "actions"),
    _renamed((), "pipeline", "workflow"),
    flat_pipeline,
    _renamed_in_steps("max_parallel", "max_concurrency", "concurrency"),
    _renamed_in_steps("needs_approval", "requires_approval", "approval"),
    _renamed_in_steps("foreach", "for_each", "forEach", "loop"),
    _renamed_in_steps("if", "when", "condition"),
    _renamed_in_steps("with", "input", "args", "inputs"),
    _renamed_in_steps("uses", "tool", "action"),
)
"""In an order in which each still finds what it changes: contents first, then keys."""
