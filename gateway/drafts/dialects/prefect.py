"""Flows and deployments of Prefect."""

from typing import Any

from gateway.drafts.dialects.parts import first, lose_members, objects, rename, set_from, set_policy
from gateway.drafts.draft import Draft
from gateway.drafts.tree import Array, Object

TASK_WORDS = frozenset({"fn", "retry_delay_seconds", "wait_for", "cache_policy"})
OUR_WORDS = frozenset({"uses", "tool", "action", "with"})
LISTS = ("tasks", "steps")


def is_prefect(tree: Any) -> bool:
    """Whether a document is a deployment, or a flow whose tasks have members that only Prefect has."""
    if not isinstance(tree, Object):
        return False
    if objects(tree.get("deployments")) or (isinstance(tree.get("flow"), Object | str) and "tasks" in tree):
        return True
    if {"concurrency_limit"} & set(tree):
        return True
    tasks = objects(first(tree, *LISTS) or first(first(tree, "pipeline"), *LISTS))
    return any(
        (TASK_WORDS & set(task) and not OUR_WORDS & set(task)) or ("map" in task and ("task" in task or "fn" in task))
        for task in tasks
    ) or (bool(tasks) and any("seconds" in task and task.get("name") == "sleep" for task in tasks))


def translate_prefect(tree: Any) -> list[Draft]:
    """The drafts of a flow, or of every deployment."""
    if not is_prefect(tree):
        return [Draft(tree)]
    deployments = objects(tree.get("deployments"))
    return [_flow(deployment) for deployment in deployments] if deployments else [_flow(tree)]


def _flow(tree: Object) -> Draft:
    draft = Draft(tree)
    flow = tree.get("flow")
    if isinstance(flow, Object):
        tree.pop("flow")
        if isinstance(flow.get("name"), str):
            set_from(tree, "name", tree.get("name", flow["name"]), flow.place_of("name"))
        limit = flow.get("timeout_seconds")
        if isinstance(limit, int | float):
            set_policy(tree, "run_timeout", f"{limit:g}s", flow.place)
        if isinstance(flow.get("retries"), int) and flow["retries"]:
            draft.lose(flow.place_of("retries"), "The retries of a whole flow: retry its steps, or a failed run.")
    elif isinstance(flow, str):
        tree.pop("flow")
        set_from(tree, "name", tree.get("name", flow), tree.place)
    lose_members(
        draft,
        tree,
        {
            "entrypoint": "The Python code of the flow: write its calls as steps.",
            "work_pool": "Work pools cannot be carried over.",
            "work_queue": "Work queues cannot be carried over.",
            "tags": "Tags are labels here.",
            "version": "",
        }
        if "pipeline" not in tree
        else {},
    )
    if isinstance(tree.get("parameters"), Object):
        rename(tree, {"parameters": "params"})
    schedules = objects(tree.get("schedules"))
    if len(schedules) == 1:
        tree.pop("schedules")
        tree["schedule"] = schedules[0]
    _schedule(tree)
    limit = tree.pop("concurrency_limit", None)
    if limit == 1:
        set_policy(tree, "overlap", Object({"policy": "BUFFER_ALL"}, tree.place), tree.place)
    holder = tree["pipeline"] if isinstance(tree.get("pipeline"), Object) else tree
    for task in objects(first(holder, *LISTS)):
        _task(task)
    draft.note("Translates the flow of Prefect.", tree.place)
    return draft


def _schedule(tree: Object) -> None:
    schedule = tree.get("schedule")
    if not isinstance(schedule, Object):
        return
    interval = schedule.get("interval")
    if isinstance(interval, int | float) and not isinstance(interval, bool):
        schedule["interval"] = f"{interval:g}s"
    rename(schedule, {"anchor_date": "start_time"})
    if schedule.get("active") is True:
        schedule.pop("active")


def _task(task: Object) -> None:
    rename(task, {"map": "foreach", "wait_for": "needs"})
    if task.get("name") == "sleep" and "seconds" in task:
        task["uses"] = "orchestrator.wait"
        task["with"] = Object({"for": f"{task.pop('seconds')}s"}, task.place)
    delay = task.pop("retry_delay_seconds", None) if "retries" in task else None
    if isinstance(delay, Array) and len(delay) == 1:
        delay = delay[0]
    if delay is not None and "retries" in task:
        retry = Object({"max": task.pop("retries"), "delay": f"{delay}s", "factor": 1}, task.place)
        task["retry"] = retry
