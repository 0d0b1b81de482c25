"""Flows of Kestra."""

import re
from typing import Any

from gateway.drafts.dialects.parts import (
    Substitution,
    first,
    lose_members,
    objects,
    rename,
    set_from,
    set_policy,
    set_schedule,
    substitute,
    take,
)
from gateway.drafts.draft import Draft
from gateway.drafts.tree import Array, Object

FLOW = re.compile(r"(?:io\.kestra\.(?:plugin\.core|core\.tasks)\.flows?\.)(?P<kind>\w+)")
SCHEDULES = re.compile(r"(?:io\.kestra\.(?:plugin\.core\.trigger|core\.models\.triggers\.types)\.)?Schedule")
CORE = frozenset(
    {
        "ForEach",
        "EachSequential",
        "EachParallel",
        "Parallel",
        "Sequential",
        "If",
        "Pause",
        "Subflow",
        "Flow",
        "Fail",
        "AllowFailure",
        "Sleep",
        "WorkingDirectory",
    }
)
OWN = frozenset({"id", "type", "timeout", "retry", "disabled", "allowFailure", "description", "runIf", "errors", "if"})
WHOLE = re.compile(r"\{\{\s*(outputs\.[\w.\[\]]+)\s*\}\}")
NAMES: list[Substitution] = [
    (re.compile(r"\boutputs\.(\w+)\[taskrun\.value\]"), r"outputs.\1"),
    (re.compile(r"\btaskrun\.value\b"), "item"),
    (re.compile(r"\btrigger\.data\b"), "event.data"),
    (re.compile(r"\bflow\.id\b"), "run.task"),
    (re.compile(r"\bexecution\.startDate\b"), "now"),
]
BEHAVIORS = {"QUEUE": "BUFFER_ALL", "CANCEL": "SKIP", "FAIL": "SKIP"}


def is_kestra(tree: Any) -> bool:
    """Whether a document is a flow: its tasks have types."""
    tasks = objects(first(tree, "tasks"))
    return (
        isinstance(tree, Object)
        and isinstance(tree.get("tasks"), Array)
        and isinstance(tree.get("id"), str)
        and "dag_id" not in tree
        and (not tasks or all("type" in task for task in tasks))
    )


def translate_kestra(tree: Any) -> list[Draft]:
    """The draft of a flow."""
    if not is_kestra(tree):
        return [Draft(tree)]
    draft = Draft(tree)
    tree.renamed("id", "name") if "name" not in tree else None
    take(tree, "namespace", "revision")
    if isinstance(tree.get("variables"), Object):
        rename(tree, {"variables": "params"})
    _inputs(tree)
    _triggers(draft, tree)
    concurrency = tree.pop("concurrency", None)
    if isinstance(concurrency, Object) and concurrency.get("limit", 1) == 1:
        policy = BEHAVIORS.get(str(concurrency.get("behavior", "QUEUE")), "BUFFER_ALL")
        set_policy(tree, "overlap", Object({"policy": policy}, concurrency.place), concurrency.place)
    substitute(tree, NAMES, conditions=("runIf", "condition"))
    place = tree.place_of("tasks")
    pipeline = Object({"version": 1, "steps": _tasks(draft, tree.pop("tasks"))}, place)
    if isinstance(tree.get("errors"), Array):
        pipeline["on_error"] = _tasks(draft, tree.pop("errors"))
    outputs = tree.pop("outputs", None)
    if outputs is not None:
        pipeline["output"] = Object({str(item.get("id")): item.get("value") for item in objects(outputs)}, place)
    tree["pipeline"] = pipeline
    draft.note("Translates the flow of Kestra.", tree.place)
    return [draft]


def _inputs(tree: Object) -> None:
    """Inputs `[{id, type, defaults}]` as declarations by name."""
    inputs = tree.get("inputs")
    if not isinstance(inputs, Array):
        return
    declared = Object(place=inputs.place)
    for item in objects(inputs):
        declaration = Object(place=item.place)
        set_from(declaration, "type", str(item.get("type", "string")).lower(), item.place_of("type"))
        set_from(declaration, "default", first(item, "defaults", "default"), item.place_of("defaults"))
        set_from(declaration, "required", item.get("required"), item.place_of("required"))
        declared[str(first(item, "id", "name"))] = declaration
    tree["inputs"] = declared


def _triggers(draft: Draft, tree: Object) -> None:
    place = tree.place_of("triggers")
    triggers, zone = Array(place=place), None
    for trigger in objects(tree.pop("triggers", None)):
        kind = str(trigger.pop("type", ""))
        trigger.pop("id", None)
        if SCHEDULES.fullmatch(kind):
            zone = take(trigger, "timezone") or zone or "UTC"
            trigger.pop("recoverMissedSchedules", None)
            inputs = trigger.pop("inputs", None)
            kept = Object({"cron": trigger.get("cron")}, trigger.place)
            set_from(kept, "params", inputs, trigger.place)
            triggers.append(kept)
        elif "topic" in trigger:
            event = Object({"topic": trigger["topic"]}, trigger.place)
            conditions = trigger.get("conditions")
            if isinstance(conditions, Array) and len(conditions) == 1 and isinstance(conditions[0], str):
                event["when"] = conditions[0]
            triggers.append(Object({"event": event}, trigger.place))
        else:
            draft.lose(trigger.place, f"The trigger {kind!r} is not understood: use a schedule or an event trigger.")
    if triggers and "schedule" not in tree:
        set_schedule(tree, triggers, zone, place)


def _tasks(draft: Draft, tasks: Any) -> Array:
    steps = Array(place=tasks.place if isinstance(tasks, Array) else draft.root.place)
    for task in objects(tasks):
        if task.get("disabled") is True:
            draft.lose(task.place, f"The task {task.get('id')!r} is disabled: it is left out.")
            continue
        steps.extend(_task(draft, task))
    return steps


def _task(draft: Draft, task: Object) -> list[Object]:
    match = FLOW.fullmatch(str(task.get("type", "")))
    kind = match["kind"] if match else str(task.get("type", ""))
    step = Object({"id": task.get("id", kind)}, task.place)
    step.places = {"id": task.place_of("id"), "uses": task.place_of("type")}
    _common(draft, task, step)
    if kind not in CORE:
        step["uses"] = kind
        arguments = Object(place=task.place)
        for key in [key for key in task if key not in OWN]:
            set_from(arguments, key, _as_text(task[key]), task.place_of(key))
        if arguments:
            step["with"] = arguments
        return [step]
    if kind == "If":
        return _alternatives(draft, task)
    _core(draft, task, step, kind)
    return [step]


def _as_text(value: Any) -> Any:
    """A whole output in a template, which Kestra renders as text."""
    match = WHOLE.fullmatch(value) if isinstance(value, str) else None
    return f"{{{{ to_string({match[1]}) }}}}" if match else value


def _core(draft: Draft, task: Object, step: Object, kind: str) -> None:
    """A task that controls others, or waits."""
    if kind in {"ForEach", "EachSequential", "EachParallel"}:
        step["foreach"] = first(task, "values", "value")
        limit = 1 if kind == "EachSequential" else first(task, "concurrencyLimit", "concurrent")
        set_from(step, "max_parallel", limit or None, task.place)
        step["do"] = _tasks(draft, task.get("tasks"))
    elif kind == "Parallel":
        inner = objects(_tasks(draft, task.get("tasks")))
        step["branches"] = Object({str(child.get("id")): Array([child], child.place) for child in inner}, task.place)
    elif kind in {"Sequential", "WorkingDirectory", "AllowFailure"}:
        step["do"] = _tasks(draft, task.get("tasks"))
        if kind == "AllowFailure":
            step["on_error"] = "continue"
    elif kind in {"Pause", "Sleep"}:
        delay = first(task, "delay", "duration", "pauseDuration")
        step["uses"] = "orchestrator.wait" if delay is not None else "orchestrator.request_approval"
        step["with"] = Object(
            {"for": delay} if delay is not None else {"message": f"Continue {task.get('id')}?"}, task.place
        )
    elif kind == "Fail":
        step["uses"] = "orchestrator.fail"
        step["with"] = Object({"code": "FAILED", "message": first(task, "errorMessage") or "failed"}, task.place)
    else:
        step["uses"] = "orchestrator.run_task"
        arguments = Object({"task": f"tasks/{task.get('flowId')}"}, task.place)
        set_from(arguments, "params", task.get("inputs"), task.place_of("inputs"))
        set_from(arguments, "wait", task.get("wait", True), task.place)
        step["with"] = arguments


def _common(draft: Draft, task: Object, step: Object) -> None:
    set_from(step, "if", first(task, "runIf"), task.place_of("runIf"))
    set_from(step, "timeout", task.get("timeout"), task.place_of("timeout"))
    if task.get("allowFailure") is True:
        step["on_error"] = "continue"
    if isinstance(task.get("description"), str):
        step["name"] = task["description"][:200]
    rule = task.get("retry")
    if isinstance(rule, Object):
        attempts = first(rule, "maxAttempt", "maxAttempts")
        retry = Object({"max": max(int(attempts) - 1, 0)} if isinstance(attempts, int) else {}, rule.place)
        set_from(retry, "delay", rule.get("interval"), rule.place_of("interval"))
        set_from(retry, "max_delay", rule.get("maxInterval"), rule.place_of("maxInterval"))
        factor = 1 if rule.get("type", "constant") == "constant" else rule.get("delayFactor", 2)
        retry["factor"] = factor
        step["retry"] = retry
    lose_members(
        draft,
        task,
        {"workerGroup": "Worker groups cannot be carried over.", "logLevel": "Log levels cannot be carried over."},
    )


def _alternatives(draft: Draft, task: Object) -> list[Object]:
    condition = str(task.get("condition", "")).strip()
    inner = condition.removeprefix("{{").removesuffix("}}").strip()
    result = []
    for key, text in (("then", inner), ("else", f"!({inner})")):
        for step in objects(_tasks(draft, task.get(key))):
            step["if"] = f"({text}) && ({step['if']})" if isinstance(step.get("if"), str) else text
            result.append(step)
    return result
