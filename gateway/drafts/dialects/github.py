"""Workflows of GitHub Actions."""

import re
from itertools import product
from typing import Any

from gateway.drafts.dialects.parts import (
    Substitution,
    first,
    lose_members,
    objects,
    set_from,
    set_policy,
    set_schedule,
    substitute,
    take,
)
from gateway.drafts.draft import ASSUMED, REMOVED, Ask, Draft, Option
from gateway.drafts.tree import Array, Object, tree_of

MANUAL = frozenset({"workflow_dispatch", "workflow_call", "repository_dispatch"})
ACTION = re.compile(r"(?P<name>[\w.-]+(?:/[\w./-]+)?)@(?P<ref>[\w./-]+)")
OUTCOME: list[Substitution] = [
    (re.compile(r"\s*&&\s*steps\.[\w-]+\.(?:outcome|conclusion)\s*==\s*'success'"), ""),
    (re.compile(r"steps\.[\w-]+\.(?:outcome|conclusion)\s*==\s*'success'\s*&&\s*"), ""),
    (re.compile(r"\s*&&\s*success\(\)|success\(\)\s*&&\s*"), ""),
    (re.compile(r"\bneeds\.[\w-]+\.outputs\b"), "steps"),
]
RUNNER_ACTION = re.compile(r"actions/(?:checkout|setup-[\w-]+|cache)(?:@|$)")
"""Actions that only prepare a runner."""
PROGRAM = re.compile(r"[^a-z0-9_.]")
FAILURE = re.compile(r"(?:\$\{\{)?\s*failure\(\)\s*(?:\}\})?")
ALWAYS = re.compile(r"(?:\$\{\{)?\s*(?:always\(\)|!cancelled\(\))\s*(?:\}\})?")
SUCCESS = re.compile(r"(?:\$\{\{)?\s*success\(\)\s*(?:\}\})?")
RUNNER = {
    "shell": "A shell belongs to a runner; a step here calls a tool.",
    "working-directory": "A working directory belongs to a runner.",
}


def is_github(tree: Any) -> bool:
    """Whether a document has jobs with steps."""
    jobs = first(tree, "jobs")
    return isinstance(jobs, Object) and any(
        isinstance(job, Object) and ("steps" in job or _is_workflow(job.get("uses"))) for job in jobs.values()
    )


def _is_workflow(uses: Any) -> bool:
    """Whether a job calls a workflow: the file of one, not a tool."""
    return isinstance(uses, str) and ("/" in uses or "@" in uses or uses.endswith((".yml", ".yaml")))


def translate_github(tree: Any) -> list[Draft]:
    """The draft of a workflow: its jobs one after another, in the order of their needs."""
    if not is_github(tree):
        return [Draft(tree)]
    draft = Draft(tree)
    on = take(tree, "on", "true", "True")
    jobs = tree.pop("jobs")
    if isinstance(tree.get("env"), Object):
        tree.renamed("env", "params")
    lose_members(
        draft,
        tree,
        {
            "permissions": "Permissions of a GitHub token cannot be carried over.",
            "defaults": "Defaults belong to a runner.",
            "run-name": "A run does not have its own name.",
        },
    )
    _concurrency(tree)
    _triggers(draft, tree, on)
    steps, handlers = Array(place=jobs.place), Array(place=jobs.place)
    ordered = _ordered(draft, jobs)
    outputs = {name: job.pop("outputs") for name, job in ordered if isinstance(job.get("outputs"), Object)}
    _job_outputs(jobs, outputs)
    for name, job in ordered:
        _job(draft, tree, name, job, steps, handlers, single=len(ordered) == 1)
    pipeline = Object({"version": 1, "steps": steps}, jobs.place)
    set_from(pipeline, "timeout", tree.pop("timeout", None), jobs.place)
    if handlers:
        pipeline["on_error"] = handlers
    tree["pipeline"] = pipeline
    draft.note("Translates the workflow of GitHub Actions: the steps of its jobs.", tree.place)
    return [draft]


def _job_outputs(jobs: Object, outputs: dict[str, Object]) -> None:
    """`needs.<job>.outputs.x` is what the job declares as `x`: an output of one of its steps."""
    pairs: list[Substitution] = []
    for name, declared in outputs.items():
        for key, value in declared.items():
            path = re.fullmatch(r"\$\{\{\s*([\w.-]+)\s*\}\}", value.strip()) if isinstance(value, str) else None
            if path is not None:
                pairs.append((re.compile(rf"\bneeds\.{re.escape(name)}\.outputs\.{re.escape(key)}\b"), path[1]))
    substitute(jobs, pairs)


def _concurrency(tree: Object) -> None:
    place = tree.place_of("concurrency")
    value = tree.pop("concurrency", None)
    if value is not None:
        cancels = isinstance(value, Object) and value.get("cancel-in-progress") is True
        set_policy(tree, "overlap", Object({"policy": "CANCEL_OTHER" if cancels else "BUFFER_ONE"}, place), place)


def _triggers(draft: Draft, tree: Object, on: Any) -> None:
    place = on.place if isinstance(on, Object | Array) else tree.place
    events = (
        on
        if isinstance(on, Object)
        else Object({str(name): None for name in ([on] if isinstance(on, str) else on or ())}, place)
    )
    triggers, zone = Array(place=place), "UTC"
    for entry in objects(events.get("schedule")):
        written = take(entry, "timezone", "time_zone", "tz")
        zone = written if isinstance(written, str) else zone
        triggers.append(entry)
    if triggers:
        if zone == "UTC":
            draft.note("GitHub evaluates schedules in UTC.", place)
        set_schedule(tree, triggers, zone, place)
    inputs = first(events.get("workflow_dispatch"), "inputs") or first(events.get("workflow_call"), "inputs")
    if isinstance(inputs, Object):
        tree["inputs"] = inputs
    for name in events:
        if name != "schedule" and name not in MANUAL:
            _ask_event(draft, tree, name, has_schedule=bool(triggers))


def _ask_event(draft: Draft, tree: Object, name: str, *, has_schedule: bool) -> None:
    topic = f"github.{name}".replace("-", "_")
    event = tree_of({"event": {"topic": topic}}, tree.place)
    without: Any = tree["schedule"] if has_schedule else REMOVED
    listed = Array([*(tree["schedule"]["triggers"] if has_schedule else ()), event], tree.place)
    with_event = Object({**(tree["schedule"] if has_schedule else {}), "triggers": listed}, tree.place)
    options = [
        Option("manual", "not by this event", [(tree, "schedule", without)]),
        Option(
            "event", f"by events with the topic {topic}, which something publishes", [(tree, "schedule", with_event)]
        ),
    ]
    text = f"GitHub starts the workflow at `{name}`, which is not an event here. How should the task start?"
    draft.ask(Ask(f"event:{name}", text, options, "manual"))


def _ordered(draft: Draft, jobs: Object) -> list[tuple[str, Object]]:
    rest = {name: job for name, job in jobs.items() if isinstance(job, Object)}
    result: list[tuple[str, Object]] = []
    done: set[str] = set()
    while rest:
        name = next((name for name, job in rest.items() if set(_needs(job)) <= done), next(iter(rest)))
        result.append((name, rest.pop(name)))
        done.add(name)
    if sum(not _needs(job) for _, job in result) > 1:
        draft.put(jobs, "order", ", ".join(name for name, _ in result), "The jobs run one after another.", ASSUMED)
        jobs.pop("order")
    for _, job in result:
        job.pop("needs", None)
    return result


def _needs(job: Object) -> list[str]:
    needs = job.get("needs")
    return [needs] if isinstance(needs, str) else [str(name) for name in needs] if isinstance(needs, Array) else []


def _job(draft: Draft, root: Object, name: str, job: Object, steps: Array, handlers: Array, *, single: bool) -> None:
    inner = Array(place=job.place_of("steps"))
    for step in objects(job.get("steps")):
        _step(draft, step, inner, handlers)
    condition = job.pop("if", None)
    if isinstance(condition, str):
        for step in objects(inner):
            step.setdefault("if", condition)
    limit = take(job, "timeout-minutes")
    if limit is not None and single:
        set_from(root, "timeout", f"{limit}m", job.place_of("timeout-minutes"))
    elif limit is not None:
        draft.lose(job.place_of("timeout-minutes"), f"The timeout of the job {name!r}: set one for its steps.")
    strategy = job.get("strategy")
    matrix = first(strategy, "matrix")
    if isinstance(matrix, Object) and matrix:
        loop = Object({"id": name, "foreach": _elements(matrix)}, job.place)
        set_from(loop, "max_parallel", first(strategy, "max-parallel"), job.place)
        loop["do"] = inner
        keys = [key for key in matrix if key not in {"include", "exclude"}]
        plain = len(keys) == 1 and "include" not in matrix
        substitute(inner, [(re.compile(rf"\bmatrix\.{key}\b"), "item" if plain else f"item.{key}") for key in keys])
        steps.append(loop)
    else:
        steps.extend(inner)
    if isinstance(job.get("uses"), str):
        steps.append(
            Object(
                {
                    "id": name,
                    "uses": "orchestrator.run_task",
                    "with": Object({"task": job["uses"], "wait": True}, job.place),
                },
                job.place,
            )
        )


def _elements(matrix: Object) -> Array:
    keys = [key for key in matrix if key not in {"include", "exclude"} and isinstance(matrix[key], Array)]
    if len(keys) == 1 and "include" not in matrix:
        return Array(list(matrix[keys[0]]), matrix.place)
    rows = (
        [
            Object(dict(zip(keys, values, strict=True)), matrix.place)
            for values in product(*(matrix[key] for key in keys))
        ]
        if keys
        else []
    )
    return Array([*rows, *objects(matrix.get("include"))], matrix.place)


def _step(draft: Draft, step: Object, steps: Array, handlers: Array) -> None:
    lose_members(draft, step, RUNNER)
    if isinstance(step.get("env"), Object):
        draft.lose(step.place_of("env"), "Variables of the environment of a step: write them into its input.")
        step.pop("env")
    uses = step.get("uses")
    if isinstance(uses, str) and RUNNER_ACTION.match(uses.strip()):
        draft.lose(step.place_of("uses"), f"`{uses}` prepares a runner.")
        return
    if isinstance(uses, str) and (match := ACTION.fullmatch(uses.strip())):
        step["uses"] = match["name"]
    if isinstance(step.get("run"), str) and "uses" not in step:
        command = step.pop("run")
        draft.lose(step.place_of("run"), f"The command `{command.strip()[:150]}` runs in a shell of a runner.")
        step["uses"] = PROGRAM.sub("", command.strip().split(None, 1)[0]) or "shell"
    if isinstance(step.get("name"), str) and "id" not in step:
        step.renamed("name", "id")
    if step.pop("continue-on-error", None) is True:
        step["on_error"] = "continue"
    limit = step.pop("timeout-minutes", None)
    set_from(step, "timeout", f"{limit}m" if limit is not None else None, step.place)
    substitute(Array([step]), OUTCOME)
    condition = step.get("if")
    if isinstance(condition, str) and FAILURE.fullmatch(condition):
        step.pop("if")
        handlers.append(step)
        return
    if isinstance(condition, str) and SUCCESS.fullmatch(condition):
        step.pop("if")
    elif isinstance(condition, str) and ALWAYS.fullmatch(condition):
        step.pop("if")
        draft.lose(
            step.place_of("if"), "`always()`: the step runs only while the steps before it succeed; see `finally`."
        )
    steps.append(step)
