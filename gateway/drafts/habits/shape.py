"""The shape of a task: what encloses it, and where its pipeline is."""

import json
import re
from collections.abc import Iterable
from typing import Any

from gateway.drafts.draft import ASSUMED, CERTAIN, Draft
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.words import (
    OUTPUT_FIELDS,
    PIPELINE_FIELDS,
    PIPELINE_WORDS,
    SCHEDULE_FIELDS,
    STEP_FIELDS,
    STEP_LISTS,
    STEP_WORDS,
    TASK_FIELDS,
    TASK_WORDS,
    TRIVIA,
    folded,
    meaning,
)
from gateway.drafts.tree import Array, Object, plain, tree_of

ENCLOSING = frozenset({"payload"}) | frozenset(
    {"task", "workflow", "ordinaut", "definition", "spec", "request", "body", "automation", "document"}
)
SCHEDULE_TEXTS = frozenset({"cron", "rrule", "interval", "once", "every", "daily", "weekly", "hourly", "monthly", "at"})
EVENT_LISTS = frozenset({"events", "on_events", "event_triggers", "subscribe", "topics"})
SCHEDULE_TEXTS_OF_TASK = SCHEDULE_TEXTS | {"crontab", "cron_expression", "run_at", "event", "event_trigger"}
RUNS = frozenset({"run", "runs", "run_on", "execute", "repeat", "frequency", "fires", "starts", "start", "how_often"})
"""Words for a schedule that is a text or a list."""
ZONES = frozenset({"time_zone", "timezone", "tz", "zone"})
STEP_TIMEOUT = "step timeout"
"""Key of the notes: the timeout of every step without its own."""
POLICY = {
    **dict.fromkeys(("priority",), "priority"),
    **dict.fromkeys(("max_retries", "retries"), "retry"),
    **dict.fromkeys(("retry", "retry_policy", "retrypolicy", "retry_strategy"), "retry"),
    "overlap": "overlap",
    **dict.fromkeys(("run_timeout", "max_run_time"), "run_timeout"),
    **dict.fromkeys(("start_deadline", "starting_deadline", "starting_deadline_seconds"), "start_deadline"),
    **dict.fromkeys(("concurrency_policy", "overlap_policy"), "overlap"),
    **dict.fromkeys(("concurrency", "max_instances", "max_active_runs", "max_concurrent_runs"), "concurrency"),
}
POLICY_FIELDS = frozenset(
    {
        *("overlap", "priority", "start_deadline", "run_timeout", "retry", "max_losses", "pause_after_failures"),
        "expect_success_every",
    }
)


def unwrap(work: Work) -> None:
    """Takes the task out of what encloses it: `{task: {…}}`, `{kind, metadata, spec}`, a bare list of steps."""
    draft = work.draft
    root = draft.root
    if isinstance(root, Array):
        draft.root = Object({"pipeline": Object({"steps": root}, root.place)}, root.place)
        draft.note("Puts the list of steps into `pipeline`.", root.place)
        return
    if not isinstance(root, Object):
        return
    if isinstance(root.get("metadata"), Object) and isinstance(root.get("spec"), Object):
        _unwrap_resource(draft, root)
        return
    _open_members(draft, root)
    if (arguments := _call_arguments(root)) is not None:
        draft.root = arguments
        draft.note("Takes the task out of the call of a tool.", root.place)
        return
    inner = [key for key in root if folded(key) in ENCLOSING and isinstance(root[key], Object)]
    others = [
        key for key in root if key not in inner and folded(key) not in TRIVIA | {"version", "task_id", "request_id"}
    ]
    if len(inner) == 1 and not others and _is_task(root[inner[0]]):
        [key] = inner
        draft.root = root[key]
        if isinstance(task_id := root.get("task_id"), str) and "name" not in draft.root:
            draft.root["name"] = task_id
        draft.note(f"Takes the task out of `{key}`.", root.place_of(key))


def _open_members(draft: Draft, root: Object) -> None:
    """Members of the task in `metadata` and `payload`."""
    metadata, payload = root.get("metadata"), root.get("payload")
    for key in list(metadata) if isinstance(metadata, Object) else ():
        if folded(key) in {"name", "labels", "description"} and key not in root:
            draft.move(root["metadata"], key, root, key, f"Takes `{key}` out of `metadata`.")
    if isinstance(payload, Object) and _is_task(payload):
        for key in [key for key in payload if key not in root]:
            draft.move(payload, key, root, key, f"Takes `{key}` out of `payload`.")
        if not payload:
            root.pop("payload")


def _call_arguments(root: Object) -> Object | None:
    """The arguments of a call of a tool: `{tool_calls: [{function: {arguments: "…"}}]}`."""
    calls = root.get("tool_calls")
    call = calls[0] if isinstance(calls, Array) and calls and isinstance(calls[0], Object) else root
    call = call["function"] if isinstance(call.get("function"), Object) else call
    arguments = call.get("arguments", call.get("input"))
    if isinstance(arguments, str) and call is not root:
        try:
            arguments = tree_of(json.loads(arguments), root.place)
        except ValueError:
            return None
    is_call = call is not root or (root.get("name") in {"create_task", "CreateTask"} and len(root) <= 3)
    inner = (
        arguments.get("task")
        if isinstance(arguments, Object) and isinstance(arguments.get("task"), Object)
        else arguments
    )
    return inner if is_call and isinstance(inner, Object) and _is_task(inner) else None


def _is_task(value: Object) -> bool:
    keys = {folded(key) for key in value}
    return bool(keys & (TASK_FIELDS | {*STEP_LISTS, "do", "jobs", "trigger", "triggers", "cron"}))


def _unwrap_resource(draft: Draft, root: Object) -> None:
    inner, metadata = root["spec"], root["metadata"]
    for key in list(metadata):
        if key in {"name", "labels", "description", "title"} and key not in inner:
            draft.move(metadata, key, inner, key, f"Takes `{key}` out of `metadata`.")
    draft.root = inner
    draft.note("Takes the task out of `spec`.", root.place_of("spec"))


def rename_task_keys(work: Work) -> None:
    """Renames the members of a task: `title`, `inputs`, `trigger`, `notes`; camel case is accepted as it is."""
    root = work.draft.root
    if not isinstance(root, Object):
        return
    for key in list(root):
        name = folded(key)
        if key in TASK_FIELDS:
            continue
        if name in TASK_FIELDS and name not in root:
            root.renamed(key, name)  # the other spelling of a field
            continue
        _rename_task_key(work, root, key, name)


def _rename_task_key(work: Work, root: Object, key: str, name: str) -> None:
    draft = work.draft
    if name in {
        "id",
        "task",
        "task_name",
        "dag_id",
        "workflow_name",
        "task_id",
        "slug",
        "dag",
        "flow_name",
    } and isinstance(root[key], str):
        if "name" not in root:
            draft.rename(root, key, "name", "The name of a task is its id.")
    elif name in {*STEP_LISTS, "do"} and not _is_pipeline_there(root):
        pipeline = Object(place=root.place_of(key))
        value = root[key]
        if isinstance(value, Object) and ("steps" in value or "version" in value) and "uses" not in value:
            draft.rename(root, key, "pipeline", f"Renames `{key}` to `pipeline`.")
            return
        root["pipeline"] = pipeline
        draft.move(root, key, pipeline, "steps", "Puts the steps into `pipeline`.")
    elif name in RUNS and "schedule" not in root and isinstance(root[key], str | Array):
        draft.rename(root, key, "schedule", f"Renames `{key}` to `schedule`.")
    elif (target := TASK_WORDS.get(name)) is not None and target not in root:
        if target == "schedule" and name == "on" and root[key] is None:
            return
        draft.rename(root, key, target, f"Renames `{key}` to `{target}`.")


def _is_pipeline_there(root: Object) -> bool:
    return any(
        folded(key) in {"pipeline", "workflow", "flow"} and isinstance(root[key], Object | Array) for key in root
    )


def gather_pipeline(work: Work) -> None:
    """Moves what belongs to the pipeline into it: steps, `version`, `output`, `on_error`, `timeout`."""
    root, draft = work.draft.root, work.draft
    if not isinstance(root, Object):
        return
    pipeline = root.get("pipeline")
    if isinstance(pipeline, Array):
        value = Object({"steps": pipeline}, pipeline.place)
        draft.put(root, "pipeline", value, "Puts the list of steps into `pipeline.steps`.")
    elif isinstance(pipeline, Object):
        _flatten(draft, root, pipeline)
    pipeline = root.get("pipeline")
    if isinstance(pipeline, Object):
        _take_members(draft, root, pipeline)
        _rename_members(draft, pipeline)
        _hoist(draft, root, pipeline)
        _version(draft, root, pipeline)


def _take_members(draft: Draft, root: Object, pipeline: Object) -> None:
    for key in list(root):
        name = folded(key)
        target = name if name in PIPELINE_FIELDS else PIPELINE_WORDS.get(name)
        if target is not None and key not in TASK_FIELDS and target not in pipeline and name != "version":
            draft.move(root, key, pipeline, target, f"Moves `{key}` into `pipeline`.")
            if target == "output" and name == "outputs":
                _outputs(draft, pipeline)


def _outputs(draft: Draft, pipeline: Object) -> None:
    """`outputs: {total: {value: …, description: …}}`."""
    output = pipeline.get("output")
    for name, value in list(output.items() if isinstance(output, Object) else ()):
        if isinstance(value, Object) and "value" in value and set(value) <= {"value", "description", "type"}:
            draft.put(output, name, value["value"], "The output has the value itself.", ASSUMED)


def _rename_members(draft: Draft, pipeline: Object) -> None:
    for key in list(pipeline):
        name = folded(key)
        if key in PIPELINE_FIELDS:
            continue
        if name in STEP_LISTS and "steps" not in pipeline:
            draft.rename(pipeline, key, "steps", f"Renames `{key}` to `steps`.")
        elif (target := PIPELINE_WORDS.get(name)) is not None and target not in pipeline:
            draft.rename(pipeline, key, target, f"Renames `{key}` to `{target}`.")
            if target == "output" and name == "outputs":
                _outputs(draft, pipeline)


def _flatten(draft: Draft, root: Object, pipeline: Object) -> None:
    """`pipeline: {pipeline: …}`, and `pipeline: {a: {uses: …}, b: {uses: …}}`."""
    inner = pipeline.get("pipeline")
    if isinstance(inner, Object) and "steps" not in pipeline:
        draft.put(root, "pipeline", inner, "Takes the pipeline out of a second `pipeline`.")
    elif isinstance(inner, Array) and "steps" not in pipeline:
        draft.rename(pipeline, "pipeline", "steps", "Renames `pipeline` to `steps`.")
    elif pipeline and all(_is_step(value) for value in pipeline.values()):
        value = Object({"steps": pipeline}, pipeline.place)
        draft.put(root, "pipeline", value, "Puts the steps into `pipeline.steps`.")


def _is_step(value: Any) -> bool:
    return isinstance(value, Object) and bool(
        {"uses", "do", "branches"} & {meaning(key, STEP_WORDS) or folded(key) for key in value}
    )


def _hoist(draft: Draft, root: Object, pipeline: Object) -> None:
    """Members of the task that were written in the pipeline."""
    for key in list(pipeline):
        name = folded(key)
        if key in PIPELINE_FIELDS or key == "timeout_seconds":
            continue
        target = name if name in TASK_FIELDS else TASK_WORDS.get(name)
        if target not in {None, "pipeline"} and target not in root:
            draft.move(pipeline, key, root, str(target), f"Moves `{key}` out of `pipeline`.")


def _version(draft: Draft, root: Object, pipeline: Object) -> None:
    if "version" in root:
        if "version" not in pipeline and str(root["version"]) in {"1", "1.0", "v1"}:
            draft.move(root, "version", pipeline, "version", "Moves `version` into `pipeline`.")
        else:
            draft.remove(root, "version", "The version of a task is set by the server.", ASSUMED)
    version = pipeline.get("version")
    if version is not None and version != 1:
        same = str(version) in {"1", "1.0", "v1", "1.0.0"}
        draft.put(pipeline, "version", 1, "The version of the language is the number 1.", CERTAIN if same else ASSUMED)


def finals(work: Work) -> None:
    """`finally: […]`: the steps run at the end, and after an error."""
    root = work.draft.root
    holder = root.get("pipeline") if isinstance(root, Object) and isinstance(root.get("pipeline"), Object) else None
    if holder is None or not isinstance(holder.get("steps"), Array):
        return
    for parent, key in [(each, key) for each in (root, holder) for key in each if folded(key) in {"finally", "always"}]:
        value = parent[key]
        steps = value if isinstance(value, Array) else Array([value])
        handlers = holder.get("on_error")
        if handlers is not None and not isinstance(handlers, Array):
            continue
        work.draft.remove(
            parent, key, "What runs in both cases is at the end of the steps, and in `on_error`.", ASSUMED
        )
        holder["on_error"] = Array([*(handlers or []), *tree_of(plain(steps), steps.place)], steps.place)
        holder["steps"].extend(steps)
        holder["steps"].places = []


def gather_schedule(work: Work) -> None:
    """Moves `cron`, `every`, `timezone` … from the task into `schedule`."""
    root, draft = work.draft.root, work.draft
    if not isinstance(root, Object):
        return
    if root.get("schedule", root) is None:
        _indent(draft, root)
    for key in [key for key in root if folded(key) in EVENT_LISTS]:
        topics = root[key] if isinstance(root[key], Array) else Array([root[key]])
        if "schedule" not in root and all(isinstance(topic, str | Object) for topic in topics):
            triggers = [{"event": topic} for topic in topics]
            draft.rename(root, key, "schedule", f"`{key}` are the events that start the task.")
            draft.put(root, "schedule", {"triggers": triggers}, "Makes a trigger of each event.")
    for key in list(root):
        name = folded(key)
        if key not in TASK_FIELDS and name in SCHEDULE_TEXTS_OF_TASK | ZONES:
            schedule = root.get("schedule")
            if schedule is None:
                schedule = root["schedule"] = Object(place=root.place_of(key))
            elif isinstance(schedule, str | Array):
                value = Object({"triggers": schedule}, root.place_of("schedule"))
                draft.put(root, "schedule", value, "Puts the schedule into an object.")
                schedule = root["schedule"]
            if isinstance(schedule, Object) and key not in schedule:
                draft.move(root, key, schedule, key, f"Moves `{key}` into `schedule`.")


def _indent(draft: Draft, root: Object) -> None:
    """`schedule:` without a value, and its members on the level of the task."""
    members = [key for key in root if key in SCHEDULE_FIELDS or folded(key) in SCHEDULE_TEXTS | ZONES | {"triggers"}]
    if members:
        schedule = root["schedule"] = Object(place=root.place_of("schedule"))
        for key in members:
            draft.move(root, key, schedule, key, f"Moves `{key}` into `schedule`.")


def defaults(work: Work) -> None:
    """`defaults: {timeout, retry}` of every step."""
    root, draft = work.draft.root, work.draft
    if not isinstance(root, Object):
        return
    for key in list(root):
        value = root[key]
        if folded(key) not in {"defaults", "default_args", "step_defaults"} or not isinstance(value, Object):
            continue
        words = {folded(name): name for name in value}
        retry = next((words[name] for name in ("retry", "retries", "max_retries") if name in words), None)
        if retry is not None and "run_policy" not in root:
            root["run_policy"] = Object(place=root.place_of(key))
            draft.move(value, retry, root["run_policy"], "retry", f"`{retry}` of every step is that of the run policy.")
            delay = next((words[name] for name in ("retry_delay", "delay") if name in words), None)
            if delay is not None and isinstance(root["run_policy"]["retry"], int):
                rule = Object({"max": root["run_policy"]["retry"]}, value.place)
                root["run_policy"]["retry"] = rule
                draft.move(value, delay, rule, "delay", "The delay of the retries.")
        if set(words) == {"timeout"} and isinstance(value[words["timeout"]], str | int | float):
            work.notes[STEP_TIMEOUT] = value[words["timeout"]]
            draft.remove(root, key, "Each step has its timeout.", ASSUMED)
        elif not value:
            root.pop(key)
        elif all(not isinstance(item, Object | Array) for item in value.values()) and not set(words) & {
            "timeout",
            "owner",
        }:
            draft.rename(root, key, "params", f"Renames `{key}` to `params`.") if "params" not in root else None
        else:
            draft.drop(root, key, f"`{key}` is not carried over: write what it sets in each step.")


def gather_policy(work: Work) -> None:
    """Moves `priority`, `retries` and the like from the task into `run_policy`."""
    root, draft = work.draft.root, work.draft
    if not isinstance(root, Object):
        return
    for key in list(root):
        target = POLICY.get(folded(key))
        if key in TASK_FIELDS or target is None:
            continue
        policy = root.get("run_policy")
        if policy is None:
            policy = root["run_policy"] = Object(place=root.place_of(key))
        if isinstance(policy, Object) and target not in policy:
            draft.move(root, key, policy, target, f"Moves `{key}` into `run_policy`.")
    policy = root.get("run_policy")
    if isinstance(policy, Object):
        _rename_policy(draft, policy)


def _rename_policy(draft: Draft, policy: Object) -> None:
    for key in list(policy):
        name = POLICY.get(folded(key)) or (folded(key) if folded(key) in POLICY_FIELDS else None)
        if name is None or name == key or name in policy:
            continue
        if folded(key) == name:
            policy.renamed(key, name)
        else:
            draft.rename(policy, key, name, f"Renames `{key}` to `{name}`.")


def drop_unknown(work: Work) -> None:
    """Leaves out what a task does not have: members of the server, and remarks of other systems."""
    root, draft = work.draft.root, work.draft
    if not isinstance(root, Object):
        return
    for key in list(root):
        name = folded(key)
        if key in TASK_FIELDS or root[key] is None:
            continue
        if name in {"tags", "categories"} and "labels" not in root:
            _labels(draft, root, key)
        elif name in OUTPUT_FIELDS or (name == "secrets" and isinstance(root[key], Array)):
            draft.drop(root, key, f"`{key}` is not a part of a task: it is set by the server.")
        elif name in TRIVIA:
            draft.drop(root, key, f"A task has no `{key}`; use `labels` or `description`.")
    labels = root.get("labels")
    if isinstance(labels, Array):
        _labels(draft, root, "labels")
    elif isinstance(labels, str):
        draft.put(root, "labels", _pairs(re.split(r"[,;]\s*", labels)), "Labels are pairs of texts.", ASSUMED)
    if isinstance(root.get("labels"), Object):
        _label_texts(draft, root["labels"])


def _label_texts(draft: Draft, labels: Object) -> None:
    for key, value in list(labels.items()):
        name = folded(key)
        if isinstance(value, int | float | bool):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            draft.put(labels, key, text, "A label is a text.")
        if not re.fullmatch(r"[a-z][a-z0-9_.-]*", key) and name not in labels:
            draft.rename(labels, key, name, "A key of a label has lower-case letters.", ASSUMED)


def _pairs(items: Iterable[object]) -> dict[str, str]:
    """Labels of texts such as `team=weather`; one without a value is true."""
    pairs = (str(item).partition("=") for item in items if str(item))
    return {folded(name.strip()): text.strip() if equals else "true" for name, equals, text in pairs}


def _labels(draft: Draft, root: Object, key: str) -> None:
    value = root[key]
    if isinstance(value, Array) and all(isinstance(item, str | int) for item in value):
        labels = _pairs(value)
        if key != "labels":
            draft.rename(root, key, "labels", f"Renames `{key}` to `labels`.", ASSUMED)
        draft.put(root, "labels", labels, "Labels are pairs of texts.", ASSUMED)
    elif key != "labels":
        draft.drop(root, key, f"A task has no `{key}`; use `labels` or `description`.")


def split_tasks(tree: Any) -> list[Any]:
    """The tasks of a document that lists several: `{tasks: [{name, pipeline}, …]}`, or a list of tasks."""
    items = tree
    if isinstance(tree, Object) and len(tree) == 1:
        [(key, items)] = tree.items()
        if key not in {"tasks", "workflows", "requests", "items"}:
            return [tree]
    if isinstance(items, Array) and items and all(isinstance(item, Object) and _has_pipeline(item) for item in items):
        return [item["task"] if isinstance(item.get("task"), Object) else item for item in items]
    return [tree]


def _has_pipeline(item: Object) -> bool:
    inner = item.get("task") if isinstance(item.get("task"), Object) else item
    keys = {folded(key) for key in plain(inner)} if isinstance(inner, Object) else set()
    return bool(keys & {"pipeline", "steps", "workflow", "jobs"}) and not keys & (
        STEP_FIELDS - {"name", "id", "timeout", "on_error"}
    )
