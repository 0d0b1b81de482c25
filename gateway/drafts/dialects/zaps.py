"""Zaps of Zapier and scenarios of Make: a trigger, then actions."""

import re
from typing import Any

from gateway.drafts.dialects.parts import Substitution, first, objects, rename, set_from, set_schedule, substitute, take
from gateway.drafts.draft import Ask, Draft, Option
from gateway.drafts.tree import Array, Object

FEEDER = re.compile(r"(?:builtin:)?(?:BasicFeeder|iterator|Iterator)")
UNITS = {"minutes": "m", "hours": "h", "days": "d", "seconds": "s", "weeks": "w"}
STORES = frozenset({"storage", "storage by zapier", "datastore", "data store"})


def is_zap(tree: Any) -> bool:
    """Whether a document has a trigger and actions, or the modules of a scenario."""
    if not isinstance(tree, Object):
        return False
    flow = objects(tree.get("flow"))
    if flow and all("module" in item for item in flow):
        return True
    steps = objects(first(tree, "actions", "then", "steps"))
    zap = any({"app", "paths", "filter"} & set(step) for step in steps)
    return zap or "zap" in tree or (isinstance(tree.get("when"), Object) and isinstance(tree.get("then"), Array))


def translate_zap(tree: Any) -> list[Draft]:
    """The draft of a zap or scenario."""
    if not is_zap(tree):
        return [Draft(tree)]
    draft = Draft(tree)
    rename(tree, {"zap": "name"})
    _trigger(draft, tree)
    written = take(tree, "actions", "then", "steps", "flow")
    actions = objects(written)
    place = written.place if isinstance(written, Array) else tree.place
    if actions and "module" in actions[0]:
        _modules(actions)
    for number, action in enumerate(actions, 1):
        action.setdefault("id", f"step{number}")
    _references(actions)
    tree["steps"] = Array(_steps(draft, actions), place)
    draft.note("Translates the trigger and the actions.", tree.place)
    return [draft]


def _trigger(draft: Draft, tree: Object) -> None:
    scheduling = tree.pop("scheduling", None)
    if isinstance(scheduling, Object) and isinstance(scheduling.get("interval"), int):
        unit = UNITS.get(str(scheduling.get("unit", "minutes")), "m")
        set_schedule(
            tree,
            Array([Object({"interval": f"{scheduling['interval']}{unit}"}, scheduling.place)], scheduling.place),
            None,
            scheduling.place,
        )
        return
    key = next((key for key in ("trigger", "when") if isinstance(tree.get(key), Object)), None)
    if key is None:
        return
    place, trigger = tree.place_of(key), tree.pop(key)
    app = str(take(trigger, "app", "type") or "")
    zone = take(trigger, "timezone", "time_zone", "tz")
    at = take(trigger, "time_of_day", "time", "at")
    every = take(trigger, "every", "schedule", "interval")
    if app in {"schedule", ""} and isinstance(trigger.get("event"), str) and "." not in trigger["event"]:
        every = trigger.pop("event")
    if isinstance(trigger.get("event"), str):
        set_schedule(
            tree, Array([Object({"event": Object({"topic": trigger["event"]}, place)}, place)], place), None, place
        )
        return
    if isinstance(every, str):
        day = take(trigger, "day", "on", "day_of_week")
        text = every.strip().lower()
        if at is None and re.fullmatch(r"\d+\s*\w+", text):
            written = Object({"interval": every}, place)
        else:
            words = {"weekly": f"every {day}", "daily": "every day", "every day": "every day"}.get(
                text, text if text.startswith("every") else f"every {text}"
            )
            written = Object({"cron": f"{words} at {at}" if at is not None else words}, place)
        set_schedule(tree, Array([written], place), zone, place)
        return
    draft.lose(place, f"The trigger {app!r} is not understood: use a schedule or an event trigger.")


def _modules(modules: list[Object]) -> None:
    """Modules of Make: an iterator makes the next module a loop."""
    for module in modules:
        rename(module, {"module": "uses", "mapper": "with"})
        if isinstance(module.get("id"), int):
            module["id"] = f"step{module['id']}"


def _references(actions: list[Object]) -> None:
    """Numbers of actions in templates: `{{1.temp}}` is the output of the first."""
    names: list[Substitution] = []
    feeders = [action for action in actions if FEEDER.fullmatch(str(action.get("uses", "")))]
    for number, action in enumerate(actions, 1):
        identifier = str(action["id"])
        position = (
            identifier.removeprefix("step")
            if identifier.startswith("step") and identifier[4:].isdigit()
            else str(number)
        )
        target = "item" if action in feeders else f"steps.{identifier}"
        names.append((re.compile(rf"(?<=\{{\{{)\s*{position}\."), f" {target}."))
        names.append((re.compile(rf"(?<![\w.'\"]){position}\.(?=[A-Za-z_])"), f"{target}."))
    names.append((re.compile(r"\btrigger\.data\b"), "event.data"))
    substitute(Array(actions), names)


def _steps(draft: Draft, actions: list[Object]) -> list[Any]:
    result: list[Any] = []
    condition, items = "", None
    for action in actions:
        if "filter" in action and not {"app", "uses", "action"} & set(action):
            condition = _joined(condition, _bare(str(action["filter"])))
            continue
        if FEEDER.fullmatch(str(action.get("uses", ""))):
            items = first(first(action, "with"), "array")
            continue
        converted = _alternatives(draft, action) if isinstance(action.get("paths"), Array) else [_action(draft, action)]
        for step in converted:
            if condition:
                step["if"] = _joined(condition, _bare(str(step["if"]))) if "if" in step else condition
            if items is not None:
                step["foreach"] = items
            result.append(step)
    return result


def _alternatives(draft: Draft, action: Object) -> list[Object]:
    result, earlier = [], []
    for path in objects(action["paths"]):
        if isinstance(path.get("if"), str):
            own = _bare(path["if"])
            earlier.append(own)
            inner = path.get("then")
        else:
            own = " && ".join(f"!({text})" for text in earlier)
            inner = first(path, "else", "then", "default")
        for step in objects(inner):
            converted = _action(draft, step)
            converted["if"] = _joined(own, _bare(str(converted["if"]))) if "if" in converted else own
            result.append(converted)
    return result


def _action(draft: Draft, action: Object) -> Object:
    if isinstance(action.get("do"), str):
        action.renamed("do", "uses")
    app = str(first(action, "app") or "")
    if app.lower() == "delay":
        action.pop("app")
        length = take(action, "delay_for", "for", "delay")
        action["uses"], action["with"] = "orchestrator.wait", Object({"for": length}, action.place)
    elif app.lower() in STORES:
        _storage(draft, action)
    elif app:
        action.pop("app")
        action.pop("event", None)
        action["uses"] = app
    rename(action, {"data": "with", "params": "with", "inputs": "with", "loop": "foreach"})
    inner = action.get("do")
    if isinstance(inner, Array):
        action["do"] = Array(_steps(draft, objects(inner)), inner.place)
    return action


def _storage(draft: Draft, action: Object) -> None:
    action.pop("app")
    writes = "set" in str(action.pop("action", "get")).lower()
    arguments = Object({"namespace": "storage"}, action.place)
    for key in ("key", "value"):
        set_from(arguments, key, action.pop(key, None), action.place)
    action["uses"] = "orchestrator.put_state" if writes else "orchestrator.get_state"
    action["with"] = arguments
    options = [
        Option("storage", "`storage`", [(arguments, "namespace", "storage")]),
        Option("default", "`default`", [(arguments, "namespace", "default")]),
    ]
    draft.ask(
        Ask(f"namespace:{action.get('id', '')}", "In which namespace of the state are the values?", options, "storage")
    )


def _bare(text: str) -> str:
    stripped = text.strip()
    inner = re.fullmatch(r"\{\{(.*?)\}\}", stripped, re.DOTALL)
    return inner[1].strip() if inner else re.sub(r"\{\{\s*(.*?)\s*\}\}", r"\1", stripped)


def _joined(first_text: str, second: str) -> str:
    return f"({first_text}) && ({second})" if first_text and second else first_text or second
