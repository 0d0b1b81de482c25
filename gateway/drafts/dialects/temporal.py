"""Schedules and workflows of Temporal, as data."""

from typing import Any

from gateway.drafts.dialects.parts import first, lose_members, objects, rename, set_from, set_policy, take
from gateway.drafts.draft import Ask, Draft, Option
from gateway.drafts.tree import Array, Object

OVERLAP = "SCHEDULE_OVERLAP_POLICY_"
OVERLAPS = {
    "SKIP": "SKIP",
    "BUFFER_ONE": "BUFFER_ONE",
    "BUFFER_ALL": "BUFFER_ALL",
    "CANCEL_OTHER": "CANCEL_OTHER",
    "TERMINATE_OTHER": "CANCEL_OTHER",
    "ALLOW_ALL": "ALLOW",
}
WORKFLOW = ("workflow", "workflow_id", "workflowId", "workflowType", "workflow_type")
ACTIVITY = ("activity", "activityType", "activity_type", "execute_activity", "executeActivity")
MARKS = frozenset(
    {
        *ACTIVITY,
        "executeChildWorkflow",
        "execute_child_workflow",
        "wait_for_signal",
        "waitForSignal",
        "startToCloseTimeout",
    }
)
TIMEOUTS = ("startToCloseTimeout", "start_to_close_timeout")
WHOLE = ("scheduleToCloseTimeout", "schedule_to_close_timeout")
LISTS = ("activities", "steps", "tasks")
LOST = {
    **dict.fromkeys(("heartbeatTimeout", "heartbeat_timeout"), "A call has one timeout and no heartbeats."),
    **dict.fromkeys(("scheduleToStartTimeout", "schedule_to_start_timeout"), "A step starts at once."),
    **dict.fromkeys(("taskQueue", "task_queue"), "Task queues cannot be carried over."),
}
CALENDAR = ("minute", "hour", "dayOfMonth", "month", "dayOfWeek")


def is_temporal(tree: Any) -> bool:
    """Whether a document has activities, or a schedule with a spec."""
    if not isinstance(tree, Object):
        return False
    if (
        "activities" in tree
        or isinstance(first(first(tree, "schedule"), "spec"), Object)
        or {"workflowType", "taskQueue"} & set(tree)
    ):
        return True
    steps = objects(first(tree, *LISTS) or first(first(tree, "pipeline"), *LISTS))
    return any(MARKS & set(step) for step in steps)


def translate_temporal(tree: Any) -> list[Draft]:
    """The draft of a workflow."""
    if not is_temporal(tree):
        return [Draft(tree)]
    draft = Draft(tree)
    name = take(tree, *WORKFLOW)
    if isinstance(name, str) and "name" not in tree:
        set_from(tree, "name", name, tree.place)
    lose_members(draft, tree, LOST)
    take(tree, "signals")
    _schedule(draft, tree)
    limit = take(
        tree, "workflowExecutionTimeout", "workflow_execution_timeout", "workflowRunTimeout", "workflow_run_timeout"
    )
    if limit is not None:
        set_policy(tree, "run_timeout", _length(limit), tree.place)
    cron = take(tree, "cronSchedule", "cron_schedule")
    if isinstance(cron, str):
        draft.note("Temporal evaluates cron schedules in UTC.", tree.place)
        tree["schedule"] = Object(
            {"triggers": Array([Object({"cron": cron}, tree.place)], tree.place), "time_zone": "UTC"}, tree.place
        )
    holder = tree["pipeline"] if isinstance(tree.get("pipeline"), Object) else tree
    written = take(holder, *LISTS)
    steps = objects(written)
    for step in steps:
        _step(draft, tree, step, single=len(steps) == 1)
    holder["steps"] = written
    timeout = tree.pop("timeout", None)
    if timeout is not None:
        pipeline = tree["pipeline"] if holder is not tree else tree
        pipeline["timeout"] = timeout
    draft.note("Translates the workflow of Temporal: its activities are steps.", tree.place)
    return [draft]


def _schedule(draft: Draft, tree: Object) -> None:
    schedule = tree.get("schedule")
    spec = first(schedule, "spec")
    if not isinstance(schedule, Object) or not isinstance(spec, Object):
        return
    place = spec.place
    triggers = Array(place=place)
    for text in first(spec, "cronExpressions", "cron_expressions", "cronString") or ():
        triggers.append(Object({"cron": text}, place))
    for interval in objects(spec.get("intervals")):
        triggers.append(Object({"interval": _length(interval.get("every"))}, interval.place))
        if interval.get("offset"):
            draft.lose(interval.place, "The offset of an interval: set `schedule.start_time`.")
    for calendar in objects(first(spec, "calendars", "structuredCalendars")):
        fields = [str(calendar.get(name, "0" if name in {"minute", "hour"} else "*")) for name in CALENDAR]
        triggers.append(Object({"cron": " ".join(fields)}, calendar.place))
    result = Object({"triggers": triggers}, place)
    zone = first(spec, "timeZoneName", "timezone", "time_zone", "timezoneName")
    only_intervals = all("interval" in trigger for trigger in triggers)
    if zone is None and not only_intervals:
        draft.note("Temporal evaluates schedules in UTC unless it is told a time zone.", place)
        zone = "UTC"
    set_from(result, "time_zone", zone, place)
    if only_intervals and triggers:
        result["start_time"] = first(spec, "startTime", "start_time") or "1970-01-01T00:00:00Z"
    else:
        set_from(result, "start_time", first(spec, "startTime", "start_time"), place)
    set_from(result, "end_time", first(spec, "endTime", "end_time"), place)
    set_from(result, "jitter", _length(spec.get("jitter")), place)
    _policies(tree, result, first(schedule, "policy", "policies"))
    tree["schedule"] = result


def _policies(tree: Object, schedule: Object, policy: Any) -> None:
    if not isinstance(policy, Object):
        return
    overlap = str(first(policy, "overlap", "overlapPolicy", "overlap_policy") or "").removeprefix(OVERLAP)
    if overlap in OVERLAPS:
        set_policy(tree, "overlap", Object({"policy": OVERLAPS[overlap]}, policy.place), policy.place)
    window = first(policy, "catchupWindow", "catchup_window", "catchUpWindow")
    if window is not None:
        schedule["catch_up"] = Object({"policy": "ALL", "window": _length(window)}, policy.place)
    if first(policy, "pauseOnFailure", "pause_on_failure") is True:
        set_policy(tree, "pause_after_failures", 1, policy.place)


def _step(draft: Draft, tree: Object, step: Object, *, single: bool) -> None:
    rename(step, {"activityId": "id", "activity_id": "id"})
    activity = take(step, *ACTIVITY)
    if activity is not None:
        step["uses"] = first(activity, "name") if isinstance(activity, Object) else activity
    child = take(step, "executeChildWorkflow", "execute_child_workflow", "childWorkflow", "child_workflow")
    if child is not None:
        arguments = Object(
            {"task": f"tasks/{first(child, 'workflowType', 'name') if isinstance(child, Object) else child}"},
            step.place,
        )
        set_from(arguments, "params", take(step, "input", "args", "arguments"), step.place)
        arguments["wait"] = True
        step["uses"], step["with"] = "orchestrator.run_task", arguments
    signal = take(step, "wait_for_signal", "waitForSignal", "signal")
    if signal is not None:
        arguments = Object({"topic": signal}, step.place)
        set_from(arguments, "timeout", _length(step.pop("timeout", None)), step.place)
        step["uses"], step["with"] = "orchestrator.wait_event", arguments
    length = take(step, "sleep", "timer")
    if length is not None:
        step["uses"], step["with"] = "orchestrator.wait", Object({"for": _length(length)}, step.place)
    lose_members(draft, step, LOST)
    set_from(step, "timeout", _length(take(step, *TIMEOUTS)), step.place)
    _retry(step)
    _whole(draft, tree, step, single=single)


def _retry(step: Object) -> None:
    rule = take(step, "retryPolicy", "retry_policy")
    if not isinstance(rule, Object):
        return
    attempts = first(rule, "maximumAttempts", "maximum_attempts")
    retry = Object(place=rule.place)
    if isinstance(attempts, int) and attempts > 0:
        retry["max"] = attempts - 1
    set_from(retry, "delay", _length(first(rule, "initialInterval", "initial_interval")), rule.place)
    set_from(retry, "factor", first(rule, "backoffCoefficient", "backoff_coefficient"), rule.place)
    set_from(retry, "max_delay", _length(first(rule, "maximumInterval", "maximum_interval")), rule.place)
    step["retry"] = retry


def _whole(draft: Draft, tree: Object, step: Object, *, single: bool) -> None:
    limit = _length(take(step, *WHOLE))
    if limit is None:
        return
    holder = tree["pipeline"] if isinstance(tree.get("pipeline"), Object) else tree
    options = [
        Option("call", f"each attempt takes at most {limit}", [(step, "timeout", limit)]),
        Option("pipeline", f"all steps together take at most {limit}", [(holder, "timeout", limit)]),
    ]
    what = step.get("id", "the activity")
    text = f"Temporal limits all attempts of {what} together to {limit}. Which limit is meant here?"
    draft.ask(Ask(f"timeout:{step.get('id', '')}", text, options, "pipeline" if single else "call"))


def _length(value: Any) -> Any:
    return f"{value:g}s" if isinstance(value, int | float) and not isinstance(value, bool) else value
