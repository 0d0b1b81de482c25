"""DAGs of Airflow, as data or as the Python module that defines them."""

import ast
import re
from itertools import pairwise
from typing import Any

from gateway.drafts.dialects.parts import (
    Substitution,
    first,
    lose_members,
    named,
    objects,
    rename,
    set_from,
    set_policy,
    substitute,
    take,
)
from gateway.drafts.draft import Draft
from gateway.drafts.tree import Array, Object, Place, plain, tree_of

NAMES: list[Substitution] = [
    (
        re.compile(
            r"\b(?:ti|task_instance)\.xcom_pull\(\s*(?:task_ids\s*=\s*)?['\"]([\w.-]+)['\"]\s*(?:,\s*key\s*=\s*['\"](\w+)['\"]\s*)?\)"
        ),
        lambda match: f"steps.{match[1]}" + (f".{match[2]}" if match[2] and match[2] != "return_value" else ""),  # type: ignore[list-item]
    ),
    (re.compile(r"(\bsteps\.[\w.-]+)\[['\"](\w+)['\"]\]"), r"\1.\2"),
    (
        re.compile(r"\bdag_run\.conf\.(\w+)|\bdag_run\.conf\[['\"](\w+)['\"]\]"),
        lambda match: f"params.{match[1] or match[2]}",
    ),  # type: ignore[list-item]
    (re.compile(r"\b(?:data_interval_end|logical_date|execution_date|ts)\b"), "now"),
    (re.compile(r"\bexception\b"), "error.message"),
]
TRIVIA = {
    "email_on_failure": "Notifications are tasks with an event trigger.",
    "email_on_retry": "Notifications are tasks with an event trigger.",
    "queue": "Queues of workers cannot be carried over.",
    "pool": "Pools cannot be carried over.",
    "provide_context": "A context does not exist.",
    "depends_on_past": "A run does not depend on the one before; see the overlap policy.",
    "owner": "The owner of a task is the agent that creates it.",
    "start_date": "",
}
OPERATORS = re.compile(r"(?P<kind>\w+?)(?:Operator|Sensor)(?:Async)?")


def is_airflow(tree: Any) -> bool:
    """Whether a document is a DAG: it has a dag_id, or tasks with operators."""
    if not isinstance(tree, Object):
        return False
    if {"dag_id", "dag", "schedule_interval"} & set(tree):
        return True
    written = first(tree, "tasks") or first(first(tree, "pipeline"), "tasks", "steps")
    marks = {"op_kwargs", "operator", "trigger_dag_id"} | ({"task_id"} if isinstance(written, Array) else set())
    tasks = list(written.values()) if isinstance(written, Object) else objects(written)
    return any(marks & set(task) for task in tasks if isinstance(task, Object))


def translate_airflow(tree: Any) -> list[Draft]:
    """The draft of a DAG."""
    if not is_airflow(tree):
        return [Draft(tree)]
    draft = Draft(tree)
    rename(tree, {"dag_id": "name", "dag": "name", "doc_md": "description"})
    _dag(draft, tree)
    defaults = tree.pop("default_args", None)
    pipeline = tree.get("pipeline")
    holder = pipeline if isinstance(pipeline, Object) else tree
    written = take(holder, "tasks", "steps")
    if isinstance(written, Object):
        written = named(written, "task_id")
    tasks = written if isinstance(written, Array) else Array(place=tree.place)
    substitute(tree, NAMES, conditions=("condition", "if"))
    substitute(tasks, NAMES, conditions=("condition", "if"))
    steps = Array([_task(draft, task) for task in objects(tasks)], tasks.place)
    if isinstance(defaults, Object):
        _defaults(draft, tree, defaults)
    order = take(tree, "dependencies", "edges")
    if isinstance(order, str):
        _order(steps, order)
    if holder is tree:
        tree["pipeline"] = Object({"version": 1, "steps": steps}, tasks.place)
    else:
        holder["steps"] = steps
    callback = take(tree, "on_failure_callback")
    if callback is not None:
        handlers = Array([_task(draft, task) for task in objects(callback)], tree.place)
        tree["pipeline"]["on_error"] = handlers
    draft.note("Translates the DAG of Airflow.", tree.place)
    return [draft]


def _dag(draft: Draft, tree: Object) -> None:
    place = tree.place
    lose_members(
        draft,
        tree,
        {
            "start_date": "A schedule begins when its task is created; set `schedule.start_time` for another begin.",
            "end_date": "Set `schedule.end_time`.",
            "max_active_tasks": "The number of concurrent steps is `max_parallel` of a loop.",
            "tags": "Tags are labels here.",
            "orientation": "A graph is drawn by `ordinaut pipeline graph`.",
        },
    )
    catchup = tree.pop("catchup", None)
    rename(tree, {"schedule_interval": "schedule"})
    schedule = tree.get("schedule")
    if schedule is None:
        tree.pop("schedule", None)
        take(tree, "timezone")
    else:
        if not isinstance(schedule, Object):
            holder = Object({"triggers": Array([_trigger(schedule, place)], place)}, place)
            tree["schedule"] = schedule = holder
        zone = take(tree, "timezone", "time_zone")
        if not {"time_zone", "timezone"} & set(schedule):
            if zone is None:
                draft.note("Airflow evaluates schedules in UTC unless it is told a time zone.", place)
            schedule["time_zone"] = zone or "UTC"
        if catchup is True:
            schedule["catch_up"] = Object({"policy": "ALL"}, place)
    active = tree.pop("max_active_runs", None)
    if active == 1:
        set_policy(tree, "overlap", Object({"policy": "BUFFER_ALL"}, place), place)
    limit = tree.pop("dagrun_timeout", None)
    if limit is not None:
        set_policy(tree, "run_timeout", limit, place)


def _trigger(value: Any, place: Place) -> Object:
    return Object({"interval": value}, place) if isinstance(value, int | float) else Object({"cron": value}, place)


def _defaults(draft: Draft, tree: Object, defaults: Object) -> None:
    lose_members(draft, defaults, {key: why for key, why in TRIVIA.items() if why})
    defaults.pop("start_date", None)
    retries, delay = defaults.pop("retries", None), defaults.pop("retry_delay", None)
    if retries is not None:
        retry = Object({"max": retries}, defaults.place)
        set_from(retry, "delay", _length(delay), defaults.place)
        if delay is not None:
            retry["factor"] = 1
        set_policy(tree, "retry", retry, defaults.place)
    for key in list(defaults):
        draft.lose(defaults.place_of(key), f"The default `{key}` cannot be carried over.")


def _length(value: Any) -> Any:
    return f"{value}s" if isinstance(value, int | float) and not isinstance(value, bool) else value


def _task(draft: Draft, task: Object) -> Object:
    rename(
        task,
        {
            "task_id": "id",
            "op_kwargs": "with",
            "params": "with",
            "parameters": "with",
            "expand": "foreach",
            "condition": "if",
            "execution_timeout": "timeout",
            "max_active_tis_per_dag": "max_parallel",
            "upstream": "needs",
            "depends_on": "needs",
            "downstream_of": "needs",
        },
    )
    lose_members(draft, task, {key: why for key, why in TRIVIA.items() if why})
    if task.get("trigger_rule") in {"all_success", "none_failed"}:
        task.pop("trigger_rule")
    elif "trigger_rule" in task:
        draft.lose(
            task.place_of("trigger_rule"),
            f"The trigger rule {task.pop('trigger_rule')!r}: a step runs after the steps before it.",
        )
    kind = str(first(task, "operator", "type", "uses") or "")
    match = OPERATORS.fullmatch(kind.rpartition(".")[2])
    if match:
        for key in ("operator", "type", "uses"):
            task.pop(key, None)
        _operator(task, match["kind"])
    else:
        rename(task, {"operator": "uses", "type": "uses"})
    if isinstance(task.get("timeout"), int | float):
        task["timeout"] = _length(task["timeout"])
    retries, delay = task.pop("retries", None), task.pop("retry_delay", None)
    if retries is not None:
        retry = Object({"max": retries}, task.place)
        set_from(retry, "delay", _length(delay), task.place)
        if delay is not None:
            retry["factor"] = 2 if task.pop("retry_exponential_backoff", False) is True else 1
        set_from(retry, "max_delay", _length(task.pop("max_retry_delay", None)), task.place)
        task["retry"] = retry
    return task


def _operator(task: Object, kind: str) -> None:
    if kind == "TriggerDagRun":
        arguments = Object({"task": f"tasks/{task.pop('trigger_dag_id', '')}"}, task.place)
        set_from(arguments, "params", task.pop("conf", None), task.place)
        set_from(arguments, "wait", task.pop("wait_for_completion", None), task.place)
        task["uses"], task["with"] = "orchestrator.run_task", arguments
    elif kind in {"TimeDelta", "TimeDeltaWait"}:
        task["uses"], task["with"] = "orchestrator.wait", Object({"for": task.pop("delta", None)}, task.place)
    elif kind == "DateTime":
        task["uses"], task["with"] = "orchestrator.wait", Object({"until": task.pop("target_time", None)}, task.place)
    else:
        task["uses"] = {
            "SimpleHttp": "http",
            "Http": "http",
            "Email": "email",
            "Empty": "orchestrator.set",
            "Dummy": "orchestrator.set",
        }.get(kind, kind)


def _order(steps: Array, text: str) -> None:
    """Adds `needs` for `a >> b >> [c, d]`."""
    by_id = {str(step.get("id")): step for step in objects(steps)}
    for line in re.split(r"[;\n]", text):
        chain = [re.findall(r"[\w-]+", part) for part in line.split(">>")]
        for before, after in pairwise(chain):
            for name in after:
                if name in by_id:
                    needs = by_id[name].setdefault("needs", Array(place=steps.place))
                    needs.extend(item for item in before if item not in needs)


def read_airflow_module(text: str) -> Object | None:
    """The DAG in a Python module: the keywords of `DAG(…)` and of its operators, and `a >> b`. None without one."""
    try:
        module = ast.parse(text)
    except SyntaxError:
        return None
    tree, tasks, names, edges = Object(place=Place(1, 1)), Array(place=Place(1, 1)), {}, []
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and (name := _called(node)):
            if name in {"DAG", "dag"}:
                _keywords(node, tree, "dag_id")
            elif OPERATORS.fullmatch(name):
                task = Object({"operator": name}, Place(node.lineno, node.col_offset + 1))
                _keywords(node, task, "task_id")
                tasks.append(task)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.targets[0], ast.Name):
            names[node.targets[0].id] = node.value
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.RShift):
            edges.append(ast.unparse(node.value))
    if "dag_id" not in tree:
        return None
    identifiers = {
        variable: next(
            (
                keyword.value.value
                for keyword in call.keywords
                if keyword.arg == "task_id" and isinstance(keyword.value, ast.Constant)
            ),
            variable,
        )
        for variable, call in names.items()
    }
    tree["tasks"] = tasks
    if edges:
        tree["dependencies"] = ";".join(
            re.sub(r"\w+", lambda match: str(identifiers.get(match[0], match[0])), edge) for edge in edges
        )
    return tree


def _called(node: ast.Call) -> str:
    function = node.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _keywords(call: ast.Call, target: Object, positional: str) -> None:
    if call.args and isinstance(call.args[0], ast.Constant):
        target[positional] = call.args[0].value
    for keyword in call.keywords:
        if keyword.arg is not None:
            place = Place(keyword.value.lineno, keyword.value.col_offset + 1)
            set_from(target, keyword.arg, _literal(keyword.value, place), place)


def _literal(node: ast.expr, place: Place) -> Any:
    if isinstance(node, ast.Call) and _called(node) == "timedelta":
        parts = {str(keyword.arg): keyword.value for keyword in node.keywords}
        return " ".join(f"{ast.unparse(value)} {unit}" for unit, value in parts.items())
    if isinstance(node, ast.Dict):
        return Object(
            {
                str(ast.literal_eval(key)): _literal(value, place)
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            },
            place,
        )
    try:
        return tree_of(plain(ast.literal_eval(node)), place)
    except ValueError:
        return ast.unparse(node)
