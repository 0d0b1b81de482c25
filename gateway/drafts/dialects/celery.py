"""Schedules of Celery beat, as data or as the Python module that configures them."""

import ast
import re
from typing import Any

from gateway.drafts.dialects.parts import first, objects, set_from, set_policy, set_schedule, take
from gateway.drafts.draft import Ask, Draft, Option
from gateway.drafts.tree import Array, Object, Place, plain, tree_of

BEAT = ("beat_schedule", "CELERY_BEAT_SCHEDULE", "CELERYBEAT_SCHEDULE", "beat-schedule", "beatSchedule")
ZONES = ("timezone", "CELERY_TIMEZONE", "time_zone", "tz")
FIELDS = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
CRON_ORDER = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
SECONDS = {"days": 86_400, "hours": 3600, "minutes": 60, "seconds": 1, "weeks": 604_800}
CALL = re.compile(
    r"\s*(?:celery\.schedules\.|schedules\.)?(?:crontab|timedelta|datetime\.timedelta|schedule)\s*\(.*\)\s*",
    re.DOTALL,
)
DAY = 86_400


def is_celery(tree: Any) -> bool:
    """Whether a document is the schedule of Celery beat, one entry of it, or a chain of its tasks."""
    if isinstance(first(tree, *BEAT), Object) or _is_entry(tree):
        return True
    return any({"countdown", "default_retry_delay"} & set(step) for step in objects(first(tree, "steps", "tasks")))


def _is_entry(tree: Any) -> bool:
    return isinstance(first(tree, "task"), str) and "schedule" in tree and ("kwargs" in tree or "args" in tree)


def translate_celery(tree: Any) -> list[Draft]:
    """The drafts of a beat schedule: one task for each entry."""
    if not is_celery(tree):
        return [Draft(tree)]
    if _is_entry(tree):
        return [_entry(str(tree.get("name", tree["task"])), tree, first(tree, *ZONES), tree.place, several=False)]
    beat = first(tree, *BEAT)
    if not isinstance(beat, Object):
        return [_chain(tree)]
    zone = first(tree, *ZONES)
    drafts = []
    for name, entry in beat.items():
        if isinstance(entry, Object):
            drafts.append(_entry(name, entry, zone, beat.place_of(name), several=len(beat) > 1))
    return drafts or [Draft(tree)]


def _entry(name: str, entry: Object, zone: Any, place: Place, *, several: bool) -> Draft:
    root = Object({"name": name}, place)
    root.places["name"] = place
    draft = Draft(root)
    trigger = trigger_of(entry.get("schedule"), entry.place_of("schedule"))
    if trigger is None:
        draft.lose(entry.place_of("schedule"), "This schedule of Celery is not understood.")
    else:
        schedule = Object({"triggers": Array([trigger], trigger.place)}, trigger.place)
        if "interval" not in trigger:
            schedule["time_zone"] = zone if isinstance(zone, str) else "UTC"
            if zone is None:
                draft.note("Celery evaluates schedules in UTC unless it is told a time zone.", place)
        root["schedule"] = schedule
    step = Object({"id": "run", "uses": entry.get("task", "")}, entry.place)
    step.places = {"uses": entry.place_of("task"), "with": entry.place_of("kwargs")}
    arguments = first(entry, "kwargs", "args")
    if arguments:
        step["with"] = arguments
    root["pipeline"] = Object({"version": 1, "steps": Array([step], entry.place)}, entry.place)
    _options(draft, root, entry, f"tasks.{name}." if several else "")
    draft.note("Translates the entry of Celery beat.", place)
    return draft


def _chain(tree: Object) -> Draft:
    """A document with steps of Celery: `countdown` is a wait before the step."""
    draft = Draft(tree)
    schedule = tree.get("schedule")
    trigger = trigger_of(first(schedule, "crontab") if isinstance(schedule, Object) else schedule, tree.place)
    if trigger is not None:
        zone = first(schedule, *ZONES) or take(tree, *ZONES)
        set_schedule(tree, Array([trigger], tree.place), zone, tree.place)
    key = "steps" if "steps" in tree else "tasks"
    steps = Array(place=tree.place_of(key))
    for step in objects(tree[key]):
        countdown = step.pop("countdown", None)
        if isinstance(countdown, int | float):
            wait = Object({"for": f"{countdown:g}s"}, step.place)
            steps.append(Object({"id": f"wait{len(steps)}", "uses": "orchestrator.wait", "with": wait}, step.place))
        delay, attempts = step.pop("default_retry_delay", None), step.pop("max_retries", None)
        if attempts is not None:
            retry = Object({"max": attempts}, step.place)
            set_from(retry, "delay", f"{delay:g}s" if isinstance(delay, int | float) else None, step.place)
            step["retry"] = retry | ({"factor": 1} if delay is not None else {})
        steps.append(step)
    tree[key] = steps
    draft.note("Translates the tasks of Celery.", tree.place)
    return draft


def _options(draft: Draft, root: Object, entry: Object, prefix: str) -> None:
    options = entry.get("options")
    if not isinstance(options, Object):
        return
    expires = options.get("expires")
    if isinstance(expires, int | float):
        set_policy(root, "start_deadline", f"{expires:g}s", options.place_of("expires"))
    if isinstance(options.get("priority"), int):
        policy = root.setdefault("run_policy", Object(place=options.place))
        same, mirrored = options["priority"], 10 - options["priority"]
        choices = [
            Option(
                "urgent_high",
                f"9 is the most urgent, as in RabbitMQ: priority {max(1, min(9, mirrored))} here",
                [(policy, "priority", max(1, min(9, mirrored)))],
            ),
            Option(
                "urgent_low",
                f"0 is the most urgent, as in Redis: priority {max(1, min(9, same))} here",
                [(policy, "priority", max(1, min(9, same)))],
            ),
        ]
        text = "Which priority is the most urgent one of this Celery broker?"
        draft.ask(Ask(f"{prefix}priority", text, choices, "urgent_high"))
    for key in options:
        if key not in {"expires", "priority"}:
            draft.lose(options.place_of(key), f"The option `{key}` of Celery cannot be carried over.")


def trigger_of(value: Any, place: Place) -> Object | None:
    """The trigger that a schedule of Celery means: seconds, `crontab(…)` or `timedelta(…)`.

    >>> trigger_of("crontab(minute=0, hour='*/3')", Place())
    {'cron': '0 */3 * * *'}
    >>> trigger_of(300.0, Place()), trigger_of("timedelta(minutes=30)", Place())
    ({'interval': '5m'}, {'interval': '30m'})
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Object({"interval": _span(value)}, place)
    if isinstance(value, Object) and set(value) <= {*FIELDS, "type"}:
        return Object({"cron": _cron({key: str(item) for key, item in value.items()})}, place)
    return _called(value, place) if isinstance(value, str) and CALL.fullmatch(value) else None


def _called(text: str, place: Place) -> Object | None:
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call):
            return None
        positional = [ast.literal_eval(argument) for argument in call.args]
        keywords = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError):
        return None
    name = text.strip().partition("(")[0].strip().rpartition(".")[2]
    if name == "crontab":
        fields = dict(zip(FIELDS, positional, strict=False)) | keywords
        return Object({"cron": _cron({key: _field(item) for key, item in fields.items()})}, place)
    if name == "schedule":
        return trigger_of(keywords.get("run_every", positional[0] if positional else None), place)
    spans = dict(zip(("days", "seconds"), positional, strict=False)) | keywords
    if not set(spans) <= set(SECONDS):
        return None
    return Object({"interval": _span(sum(SECONDS[key] * amount for key, amount in spans.items()))}, place)


def _field(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value)


def _cron(fields: dict[str, str]) -> str:
    return " ".join(fields.get(name, "*").replace(" ", "") for name in CRON_ORDER)


def _span(seconds: float) -> str:
    for unit, size in (("d", DAY), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def read_celery_module(text: str) -> Object | None:
    """The schedule in a Python module: what is assigned to `beat_schedule`, also as an attribute. None without one."""
    try:
        module = ast.parse(text)
    except SyntaxError:
        return None
    result = Object(place=Place(1, 1))
    for statement in module.body:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            continue
        target = statement.targets[0]
        name = target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""
        if name in BEAT or name in ZONES or name == "enable_utc":
            result[name] = _value(statement.value)
            result.places[name] = Place(statement.lineno, 1)
    return result if is_celery(result) else None


def _value(node: ast.expr) -> Any:
    """A literal as a tree with its places; a call as its source."""
    place = Place(node.lineno, node.col_offset + 1)
    if isinstance(node, ast.Dict):
        result = Object(place=place)
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                result[str(key.value)] = _value(value)
                result.places[str(key.value)] = Place(key.lineno, key.col_offset + 1)
        return result
    if isinstance(node, ast.List | ast.Tuple):
        return Array([_value(item) for item in node.elts], place)
    try:
        return tree_of(plain(ast.literal_eval(node)), place)
    except ValueError:
        return ast.unparse(node)
