"""Workflows and cron workflows of Argo."""

import re
from typing import Any

from gateway.drafts.dialects.parts import (
    Substitution,
    first,
    lose_members,
    named,
    objects,
    parameters,
    rename,
    set_from,
    set_policy,
    set_schedule,
    substitute,
    take,
)
from gateway.drafts.draft import Ask, Draft, Option
from gateway.drafts.habits.names import step_name
from gateway.drafts.tree import Array, Object

NAMES: list[Substitution] = [
    (re.compile(r"\b(?:workflow|inputs)\.parameters\.([\w-]+)"), r"params.\1"),
    (re.compile(r"\b(?:steps|tasks)\.([\w-]+)\.outputs(?:\.parameters|\.result)?\b"), r"steps.\1"),
    (re.compile(r"\{\{\s*=\s*"), "{{ "),
    (re.compile(r"\{\{\s*workflow\.name\s*\}\}"), "{{ run.name }}"),
]
CONCURRENCY = {"Forbid": "SKIP", "Replace": "CANCEL_OTHER", "Allow": "ALLOW"}
LOST = {
    "successfulJobsHistoryLimit": "The number of kept runs is a setting of the installation.",
    "failedJobsHistoryLimit": "The number of kept runs is a setting of the installation.",
    "serviceAccountName": "Rights are scopes of an agent.",
    "ttlStrategy": "How long runs are kept is a setting of the installation.",
    "podGC": "Pods do not exist.",
}
CRON_FIELDS = ("schedule", "schedules", "timezone", "concurrencyPolicy", "startingDeadlineSeconds", "suspend")


def is_argo(tree: Any) -> bool:
    """Whether a document is a workflow of Argo, or has steps that name templates."""
    if not isinstance(tree, Object):
        return False
    kind = str(tree.get("kind", ""))
    if kind in {"Workflow", "CronWorkflow", "WorkflowTemplate"} or "argoproj" in str(tree.get("apiVersion", "")):
        return True
    spec = first(tree, "spec")
    return (
        _has_templates(tree)
        or (isinstance(spec, Object) and isinstance(tree.get("metadata"), Object) and "pipeline" not in spec)
        or _has_templates(spec)
    )


def _has_templates(holder: Any) -> bool:
    if not isinstance(holder, Object):
        return False
    pipeline = holder.get("pipeline")
    steps = first(holder, "steps") or first(pipeline, "steps")
    if not isinstance(steps, Array):
        return False
    flat = [item for part in steps for item in (part if isinstance(part, Array) else [part])]
    return any(
        isinstance(step, Object) and {"template", "withItems", "withParam", "retryStrategy"} & set(step)
        for step in flat
    ) or (bool(flat) and isinstance(first(first(holder, "arguments"), "parameters"), Array))


def translate_argo(tree: Any) -> list[Draft]:
    """The draft of a workflow."""
    if not is_argo(tree):
        return [Draft(tree)]
    draft = Draft(tree)
    take(tree, "apiVersion", "kind")
    tree.pop("kind", None)
    _metadata(draft, tree)
    spec = tree.pop("spec", None)
    for holder in (tree, spec, first(spec, "workflowSpec")):
        if isinstance(holder, Object):
            lose_members(draft, holder, LOST)
            _schedule(draft, tree, holder)
    body = first(spec, "workflowSpec") or spec
    if not isinstance(body, Object) or not {"templates", "steps", "dag", "arguments"} & set(body):
        body = tree
    arguments = parameters(first(body, "arguments"))
    if arguments is not None:
        body.pop("arguments")
        set_from(tree, "params", arguments, arguments.place)
    _exit(draft, tree, body)
    templates = {str(item.get("name")): item for item in objects(named(first(body, "templates"), "name"))}
    holder = _entry(tree, body, templates)
    substitute(tree, NAMES, conditions=("when", "if"))
    substitute(holder, NAMES, conditions=("when", "if"))
    steps = Array(place=holder.place)
    dag = first(first(holder, "dag"), "tasks") or first(holder, "steps") or first(first(holder, "pipeline"), "steps")
    for number, part in enumerate(dag if isinstance(dag, Array) else (), 1):
        group = objects(part)
        members = [_step(draft, step, templates) for step in group]
        if len(members) > 1:
            branches = Object(
                {step_name(str(member["id"])): Array([member], member.place) for member in members}, members[0].place
            )
            steps.append(Object({"id": f"group{number}", "branches": branches}, members[0].place))
        else:
            steps.extend(members)
    for key in ("steps", "pipeline", "templates", "entrypoint"):
        tree.pop(key, None)
    pipeline = Object({"version": 1, "steps": steps}, steps.place)
    limit = first(body, "activeDeadlineSeconds")
    set_from(pipeline, "timeout", f"{limit}s" if isinstance(limit, int) else None, steps.place)
    tree.pop("activeDeadlineSeconds", None)
    tree["pipeline"] = pipeline
    draft.note("Translates the workflow of Argo.", tree.place)
    return [draft]


def _metadata(draft: Draft, tree: Object) -> None:
    metadata = tree.pop("metadata", None)
    if not isinstance(metadata, Object):
        return
    name = first(metadata, "name") or str(first(metadata, "generateName") or "").rstrip("-")
    if name and "name" not in tree:
        set_from(tree, "name", name, metadata.place)
    set_from(tree, "labels", first(metadata, "labels"), metadata.place_of("labels"))
    if "description" not in tree and isinstance(text := first(metadata, "description"), str):
        set_from(tree, "description", text, metadata.place_of("description"))


def _schedule(draft: Draft, tree: Object, holder: Object) -> None:
    written = first(holder, "schedule", "schedules")
    if isinstance(written, Object):  # not that of Argo
        tree["schedule"] = written
        return
    place = holder.place_of("schedule" if "schedule" in holder else "schedules")
    if holder is not tree and written is not None:
        texts = list(written) if isinstance(written, Array) else [written]
        zone = first(holder, "timezone") or "UTC"
        set_schedule(tree, Array([Object({"cron": text}, place) for text in texts], place), zone, place)
    policy = holder.pop("concurrencyPolicy", None)
    if policy in CONCURRENCY:
        set_policy(tree, "overlap", Object({"policy": CONCURRENCY[policy]}, place), place)
    deadline = holder.pop("startingDeadlineSeconds", None)
    if isinstance(deadline, int) and deadline:
        set_policy(tree, "start_deadline", f"{deadline}s", place)
    if holder.pop("suspend", None) is True:
        tree["enabled"] = False


def _exit(draft: Draft, tree: Object, body: Object) -> None:
    place = body.place_of("onExit")
    handler = body.pop("onExit", None)
    if handler is None:
        return
    options = [
        Option("without", "without the handler", []),
        Option("by_hand", "the handler is written by hand, under `on_error` or `finally`", []),
    ]
    text = f"Argo runs the exit handler {handler!r} after success and failure. How is it carried over?"
    draft.ask(Ask("handler", text, options, "without"))
    draft.lose(place, f"The exit handler {handler!r}: `on_error` runs after a failure, `finally` in any case.")


def _entry(tree: Object, body: Object, templates: dict[str, Object]) -> Object:
    entry = templates.get(str(first(body, "entrypoint")))
    return entry if entry is not None and ({"steps", "dag"} & set(entry)) else body


def _step(draft: Draft, step: Object, templates: dict[str, Object]) -> Object:
    if "id" not in step:
        rename(step, {"name": "id"})
    rename(
        step,
        {
            "dependencies": "needs",
            "depends": "needs",
            "when": "if",
            "withItems": "foreach",
            "withParam": "foreach",
            "parallelism": "max_parallel",
        },
    )
    if isinstance(step.get("suspend"), Object):
        length = first(step.pop("suspend"), "duration")
        step["uses"] = "orchestrator.wait" if length is not None else "orchestrator.request_approval"
        step["with"] = Object(
            {"for": length if not str(length).isdigit() else f"{length}s"}
            if length is not None
            else {"message": f"Continue {step.get('id')}?"},
            step.place,
        )
    template = step.pop("template", None)
    if isinstance(template, str):
        own = templates.get(template)
        uses = first(own, "uses", "tool") if own is not None else None
        step["uses"] = uses if isinstance(uses, str) else template
        if own is not None and "with" in own and "with" not in step:
            step["with"] = own["with"]
    arguments = parameters(first(step, "arguments"))
    if arguments is not None:
        step.pop("arguments")
        step["with"] = arguments
    _retry(step)
    limit = step.pop("activeDeadlineSeconds", None)
    set_from(step, "timeout", f"{limit}s" if isinstance(limit, int) else limit, step.place)
    if step.pop("continueOn", None) is not None:
        step["on_error"] = "continue"
    return step


def _retry(step: Object) -> None:
    rule = step.pop("retryStrategy", None)
    if not isinstance(rule, Object):
        return
    backoff = first(rule, "backoff")
    retry = Object(place=rule.place)
    set_from(retry, "max", first(rule, "limit"), rule.place)
    set_from(retry, "delay", _length(first(backoff, "duration")), rule.place)
    set_from(retry, "factor", first(backoff, "factor"), rule.place)
    set_from(retry, "max_delay", _length(first(backoff, "maxDuration", "cap")), rule.place)
    step["retry"] = retry


def _length(value: Any) -> Any:
    return f"{value}s" if isinstance(value, int) or str(value).isdigit() else value
