"""Workflows of n8n: nodes that are joined by connections."""

from typing import Any

from gateway.drafts.draft import Draft
from gateway.drafts.habits.names import step_name
from gateway.drafts.tree import Array, Object

TRIGGERS = ("trigger", "webhook", ".cron", ".interval", ".start")
PREFIXES = ("n8n-nodes-base.", "@n8n/n8n-nodes-langchain.")
TYPES = {
    "httpRequest": "http",
    "wait": "orchestrator.wait",
    "set": "orchestrator.set",
    "executeWorkflow": "orchestrator.run_task",
}
TYPES |= {"emailSend": "email.send", "gmail": "gmail.send", "stopAndError": "orchestrator.fail"}
REMARKS = frozenset({"stickyNote"})
UNITS = {"seconds": "s", "minutes": "m", "hours": "h", "days": "d", "weeks": "w"}


def is_n8n(tree: Any) -> bool:
    """Whether a document has nodes and connections."""
    return isinstance(tree, Object) and isinstance(tree.get("nodes"), Array) and "connections" in tree


def translate_n8n(tree: Any) -> list[Draft]:
    """The draft of a workflow: its triggers are the schedule, its other nodes the steps in the order of execution."""
    if not is_n8n(tree):
        return [Draft(tree)]
    root = Object(place=tree.place)
    draft = Draft(root)
    nodes = [node for node in tree["nodes"] if isinstance(node, Object)]
    triggers = Array(place=tree.place_of("nodes"))
    steps = Array(place=tree.place_of("nodes"))
    for node in _ordered(draft, nodes, tree["connections"]):
        kind = _kind(node)
        if node.get("disabled") is True:
            draft.lose(node.place, f"The node {node.get('name', kind)!r} is disabled: it is left out.")
        elif kind in REMARKS:
            draft.lose(node.place, "A sticky note is a remark.")
        elif _is_trigger(str(node.get("type", ""))):
            _trigger(draft, node, kind, triggers)
        else:
            steps.append(_step(node, kind))
    if isinstance(tree.get("name"), str):
        root["name"] = tree["name"]
        root.places["name"] = tree.place_of("name")
    zone = tree["settings"].get("timezone") if isinstance(tree.get("settings"), Object) else None
    if triggers:
        root["schedule"] = Object(
            {"triggers": triggers} | ({"time_zone": zone} if isinstance(zone, str) else {}), triggers.place
        )
    root["pipeline"] = Object({"version": 1, "steps": steps}, steps.place)
    if tree.get("active") is False:
        draft.lose(tree.place_of("active"), "The workflow is not active: pause the task after it was created.")
    draft.note("Translates the workflow of n8n: each node is a step.", tree.place)
    return [draft]


def _kind(node: Object) -> str:
    kind = str(node.get("type", ""))
    for prefix in PREFIXES:
        kind = kind.removeprefix(prefix)
    return kind


def _is_trigger(kind: str) -> bool:
    return kind.lower().startswith(PREFIXES) and any(word in kind.lower() for word in TRIGGERS)


def _targets(connections: Any, name: str) -> list[list[str]]:
    """The names of the nodes after each output of a node."""
    outputs = connections.get(name) if isinstance(connections, Object) else None
    main = outputs.get("main") if isinstance(outputs, Object) else None
    return [
        [str(link.get("node")) for link in output if isinstance(link, Object)]
        for output in (main if isinstance(main, Array) else ())
        if isinstance(output, Array)
    ]


def _ordered(draft: Draft, nodes: list[Object], connections: Any) -> list[Object]:
    """The nodes so that each follows those that lead to it, otherwise as they are listed."""
    names = {str(node.get("name", "")): node for node in nodes}
    before: dict[str, set[str]] = {name: set() for name in names}
    for name, node in names.items():
        outputs = _targets(connections, name)
        for target in (target for output in outputs for target in output if target in before):
            before[target].add(name)
        if sum(bool(output) for output in outputs) > 1:
            draft.lose(node.place, f"The node {name!r} has several outputs: give the steps after it an `if`.")
    result: list[Object] = []
    done: set[str] = set()
    rest = list(names)
    while rest:
        name = next((name for name in rest if before[name] <= done), rest[0])
        rest.remove(name)
        done.add(name)
        result.append(names[name])
    return result


def _step(node: Object, kind: str) -> Object:
    parameters = node.get("parameters")
    arguments = parameters if isinstance(parameters, Object) else Object(place=node.place)
    arguments.pop("options", None) if arguments.get("options") == {} else None
    name = str(node.get("name", kind))
    step = Object({"id": name if step_name(name) else kind, "uses": TYPES.get(kind, kind)}, node.place)
    step.places = {"id": node.place_of("name"), "uses": node.place_of("type"), "with": node.place_of("parameters")}
    if kind == "wait" and isinstance(arguments.get("unit"), str):
        unit = UNITS.get(arguments["unit"].rstrip("s") + "s", "h")
        arguments = Object({"for": f"{arguments.get('amount', 1)}{unit}"}, node.place)
    if kind == "set":
        arguments = _assigned(arguments)
    if arguments:
        step["with"] = arguments
    if node.get("continueOnFail") is True or node.get("onError") == "continueRegularOutput":
        step["on_error"] = "continue"
    if node.get("retryOnFail") is True:
        count, wait = max(int(node.get("maxTries", 3)) - 1, 0), node.get("waitBetweenTries")
        delay = {"delay": f"{wait}ms", "factor": 1} if isinstance(wait, int) and wait else {}
        step["retry"] = Object({"max": count, **delay}, node.place) if delay else count
    if isinstance(node.get("notes"), str):
        step["name"] = node["notes"][:200]
    return step


def _assigned(arguments: Object) -> Object:
    """The values that a set node gives: `{values: {string: [{name, value}]}}`, `{assignments: {assignments: […]}}`."""
    values, assignments = arguments.get("values"), arguments.get("assignments")
    lists = list(values.values()) if isinstance(values, Object) else []
    if isinstance(assignments, Object):
        lists.append(assignments.get("assignments"))
    found = [item for items in lists if isinstance(items, Array) for item in items if isinstance(item, Object)]
    if not found:
        return arguments
    return Object({str(item.get("name")): item.get("value") for item in found}, arguments.place)


def _trigger(draft: Draft, node: Object, kind: str, triggers: Array) -> None:
    parameters = node.get("parameters")
    rule = parameters.get("rule") if isinstance(parameters, Object) else None
    intervals = rule.get("interval") if isinstance(rule, Object) else None
    if "webhook" in kind.lower():
        draft.lose(node.place, "A webhook starts the workflow: publish an event, and use an event trigger.")
    elif "manual" in kind.lower() or kind in {"start", "executeWorkflowTrigger"}:
        draft.note("A task can always be started by hand.", node.place)
    elif isinstance(intervals, Array):
        for interval in intervals:
            trigger = _time(interval) if isinstance(interval, Object) else None
            if trigger is None:
                draft.lose(node.place, "This schedule is not understood.")
            else:
                triggers.append(Object(trigger, node.place))
    elif isinstance(parameters, Object) and isinstance(times := parameters.get("triggerTimes"), Object):
        _times(draft, node, times, triggers)
    elif isinstance(parameters, Object) and isinstance(parameters.get("cronExpression"), str):
        triggers.append(Object({"cron": parameters["cronExpression"]}, node.place))
    else:
        draft.lose(node.place, f"The trigger {kind!r} is not understood: use an event trigger or a schedule.")


def _times(draft: Draft, node: Object, times: Object, triggers: Array) -> None:
    """The older form of a schedule: `{item: [{mode: everyDay, hour: 7, minute: 15}]}`."""
    modes = {
        "everyDay": "days",
        "everyHour": "hours",
        "everyMinute": "minutes",
        "everyWeek": "weeks",
        "everyMonth": "months",
    }
    items = times.get("item")
    for item in items if isinstance(items, Array) else ():
        if not isinstance(item, Object):
            continue
        if item.get("mode") == "custom":
            triggers.append(Object({"cron": str(item.get("cronExpression", ""))}, node.place))
            continue
        field = modes.get(str(item.get("mode", "everyDay")), "")
        interval = Object(
            {"field": field, "triggerAtHour": item.get("hour", 0), "triggerAtMinute": item.get("minute", 0)}
        )
        interval |= {"triggerAtDay": Array([item.get("weekday", 0)]), "triggerAtDayOfMonth": item.get("dayOfMonth", 1)}
        interval["minutesInterval"] = 1
        trigger = _time(Object(interval))
        if trigger is None:
            draft.lose(node.place, "This schedule is not understood.")
        else:
            triggers.append(Object(trigger, node.place))


def _time(interval: Object) -> dict[str, str] | None:  # noqa: PLR0911 - one for each unit
    """One interval of a schedule trigger; the default is every day at midnight.

    >>> _time(Object({"triggerAtHour": 9})), _time(Object({"field": "minutes", "minutesInterval": 5}))
    ({'cron': '0 9 * * *'}, {'interval': '5m'})
    """
    field = str(interval.get("field", "days"))
    if field == "cronExpression":
        return {"cron": str(interval.get("expression", ""))}
    hour, minute = _number(interval, "triggerAtHour", 0), _number(interval, "triggerAtMinute", 0)
    count = _number(interval, f"{field}Interval", 1)
    if field == "minutes" and (count := _number(interval, "minutesInterval", 5)) and 60 % count == 0:
        return {"cron": f"*/{count} * * * *" if count > 1 else "* * * * *"}
    if field in {"seconds", "minutes"}:
        return {"interval": f"{_number(interval, f'{field}Interval', 30 if field == 'seconds' else 5)}{UNITS[field]}"}
    if field == "hours":
        return (
            {"cron": f"{minute} * * * *"}
            if count == 1
            else {"interval": f"{count}h"}
            if 24 % count
            else {"cron": f"{minute} */{count} * * *"}
        )
    if field == "weeks" and count == 1:
        days = interval.get("triggerAtDay", [0])
        return {
            "cron": f"{minute} {hour} * * {','.join(str(day) for day in days) if isinstance(days, Array) else days}"
        }
    if field == "months" and count == 1:
        return {"cron": f"{minute} {hour} {_number(interval, 'triggerAtDayOfMonth', 1)} * *"}
    return {"cron": f"{minute} {hour} * * *"} if field == "days" and count == 1 else None


def _number(interval: Object, key: str, default: int) -> int:
    value = interval.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else default
