"""Workflows of n8n: nodes that are joined by connections."""

import re
from typing import Any

from gateway.drafts.dialects.parts import substitute
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
CONTROL = frozenset({"if", "filter", "splitOut", "splitInBatches", "itemLists", "noOp"})
COMPARISONS = {
    **dict.fromkeys(("larger", "gt"), ">"),
    **dict.fromkeys(("largerEqual", "gte"), ">="),
    **dict.fromkeys(("smaller", "lt"), "<"),
    **dict.fromkeys(("smallerEqual", "lte"), "<="),
    **dict.fromkeys(("equal", "equals", ""), "=="),
    **dict.fromkeys(("notEqual", "notEquals"), "!="),
}
EXPRESSION = re.compile(r"=?\s*\{\{\s*(.*?)\s*\}\}", re.DOTALL)
UNITS = {"seconds": "s", "minutes": "m", "hours": "h", "days": "d", "weeks": "w"}


def is_n8n(tree: Any) -> bool:
    """Whether a document has nodes with types."""
    nodes = tree.get("nodes") if isinstance(tree, Object) else None
    if not isinstance(nodes, Array):
        return False
    return "connections" in tree or all(isinstance(node, Object) and "type" in node for node in nodes)


def translate_n8n(tree: Any) -> list[Draft]:
    """The draft of a workflow: its triggers are the schedule, its other nodes the steps in the order of execution."""
    if not is_n8n(tree):
        return [Draft(tree)]
    root = Object(place=tree.place)
    draft = Draft(root)
    nodes = [node for node in tree["nodes"] if isinstance(node, Object)]
    triggers = Array(place=tree.place_of("nodes"))
    steps = Array(place=tree.place_of("nodes"))
    for number, node in enumerate(nodes, 1):
        node.setdefault("name", node.get("id", f"node{number}"))
    connections = tree.get("connections")
    guards, loops = _guards(nodes, connections), _loops(nodes, connections)
    for node in _ordered(draft, nodes, connections):
        step = _node(draft, node, triggers)
        if step is not None:
            steps.append(_guarded(step, guards, loops))
    if isinstance(tree.get("name"), str):
        root["name"] = tree["name"]
        root.places["name"] = tree.place_of("name")
    zone = tree["settings"].get("timezone") if isinstance(tree.get("settings"), Object) else None
    if triggers:
        root["schedule"] = Object(
            {"triggers": triggers} | ({"time_zone": zone} if isinstance(zone, str) else {}), triggers.place
        )
    if "schedule" not in root and isinstance(tree.get("schedule"), Object | Array | str):
        root["schedule"] = tree["schedule"]
    root["pipeline"] = Object({"version": 1, "steps": steps}, steps.place)
    if tree.get("active") is False:
        draft.lose(tree.place_of("active"), "The workflow is not active: pause the task after it was created.")
    draft.note("Translates the workflow of n8n: each node is a step.", tree.place)
    return [draft]


def _node(draft: Draft, node: Object, triggers: Array) -> Object | None:
    """The step of a node; None for a trigger, which is added to the list, and for what controls others."""
    kind = _kind(node)
    if node.get("disabled") is True:
        draft.lose(node.place, f"The node {node.get('name', kind)!r} is disabled: it is left out.")
    elif kind in REMARKS:
        draft.lose(node.place, "A sticky note is a remark.")
    elif _is_trigger(str(node.get("type", ""))):
        _trigger(draft, node, kind, triggers)
    elif kind not in CONTROL:
        return _step(node, kind)
    return None


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
        if sum(bool(output) for output in outputs) > 1 and _kind(node) not in CONTROL:
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


def _guards(nodes: list[Object], connections: Any) -> dict[str, str]:
    """The condition of each node behind an `if` or `filter`, by name; it reads the output of the node before that."""
    guards: dict[str, str] = {}
    before = {
        target: str(node["name"])
        for node in nodes
        for output in _targets(connections, str(node["name"]))
        for target in output
    }
    for node in nodes:
        if _kind(node) not in {"if", "filter"}:
            continue
        condition = _condition(node, before.get(str(node["name"]), ""))
        for number, output in enumerate(_targets(connections, str(node["name"]))):
            for target in output:
                for name in [target, *_after(connections, target)]:
                    guards[name] = condition if number == 0 else f"!({condition})"
    return guards


def _after(connections: Any, name: str) -> list[str]:
    """The nodes after a node, each once."""
    found: list[str] = []
    rest = [name]
    while rest:
        for output in _targets(connections, rest.pop()):
            for target in output:
                if target not in found:
                    found.append(target)
                    rest.append(target)
    return found


def _condition(node: Object, before: str) -> str:
    conditions = node.get("parameters", {}).get("conditions")
    texts = []
    listed = conditions.get("conditions") if isinstance(conditions, Object) else None
    if isinstance(listed, Array):
        for item in listed:
            operator = item.get("operator")
            word = operator.get("operation", "") if isinstance(operator, Object) else str(operator or "")
            texts.append(_comparison(item.get("leftValue"), word, item.get("rightValue"), before))
        joiner = " || " if conditions.get("combinator") == "or" else " && "
    else:
        for items in conditions.values() if isinstance(conditions, Object) else ():
            for item in items if isinstance(items, Array) else ():
                word = str(item.get("operation", ""))
                texts.append(_comparison(item.get("value1"), word, item.get("value2"), before))
        joiner = " || " if node.get("parameters", {}).get("combineOperation") == "any" else " && "
    return joiner.join(texts)


def _comparison(left: Any, word: str, right: Any, before: str) -> str:
    return f"{_operand(left, before)} {COMPARISONS.get(word, '==')} {_operand(right, before)}"


def _operand(value: Any, before: str) -> str:
    """One side of a comparison; `$json` is the output of the node before."""
    if isinstance(value, str) and (match := EXPRESSION.fullmatch(value.strip())):
        return match[1].replace("$json", f"$('{before}').item.json") if before else match[1]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "\\'") + "'"


def _loops(nodes: list[Object], connections: Any) -> dict[str, tuple[str, str]]:
    """For each node after a split: the node before it, and the field whose elements are the items."""
    loops: dict[str, tuple[str, str]] = {}
    for node in nodes:
        if _kind(node) not in {"splitOut", "itemLists"}:
            continue
        name, field = str(node["name"]), str(node.get("parameters", {}).get("fieldToSplitOut", ""))
        source = next((str(other["name"]) for other in nodes if _leads_to(connections, str(other["name"]), name)), "")
        for output in _targets(connections, name):
            for target in output:
                loops[target] = (source, field)
    return loops


def _leads_to(connections: Any, name: str, target: str) -> bool:
    return any(target in output for output in _targets(connections, name))


def _guarded(step: Object, guards: dict[str, str], loops: dict[str, tuple[str, str]]) -> Object:
    name = str(step.pop("node", ""))
    if name in guards:
        step["if"] = guards[name]
    if name in loops:
        source, field = loops[name]
        step["foreach"] = f"$('{source}').item.json.{field}"
        substitute(Array([step.get("with")]), [(re.compile(r"\$json\b"), "item")])
    return step


def _step(node: Object, kind: str) -> Object:
    parameters = node.get("parameters")
    arguments = parameters if isinstance(parameters, Object) else Object(place=node.place)
    arguments.pop("options", None) if arguments.get("options") == {} else None
    name = str(node.get("name", kind))
    step = Object({"id": name if step_name(name) else kind, "uses": TYPES.get(kind, kind)}, node.place)
    step["node"] = name
    if kind == "wait" and isinstance(arguments.get("amount"), int | float):
        arguments = Object(
            {"for": f"{arguments['amount']:g}{UNITS.get(str(arguments.get('unit', 'hours')), 'h')}"}, node.place
        )
    elif kind == "set" and isinstance(arguments.get("values"), Object):
        arguments = Object(
            {str(item.get("name")): item.get("value") for items in arguments["values"].values() for item in items},
            arguments.place,
        )
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
    elif isinstance(parameters, Object) and isinstance(parameters.get("triggerTimes"), Object):
        for item in parameters["triggerTimes"].get("item", ()):
            triggers.append(Object(_time_of_cron(item), node.place))
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


def _time_of_cron(item: Object) -> dict[str, str]:
    """One time of the older node `cron`."""
    mode, minute, hour = str(item.get("mode", "everyDay")), _number(item, "minute", 0), _number(item, "hour", 14)
    if mode == "everyX":
        return {"interval": f"{_number(item, 'value', 2)}{UNITS.get(str(item.get('unit', 'hours')), 'h')}"}
    fields = {
        "everyMinute": "* * * * *",
        "everyHour": f"{minute} * * * *",
        "everyWeek": f"{minute} {hour} * * {item.get('weekday', 1)}",
        "everyMonth": f"{minute} {hour} {_number(item, 'dayOfMonth', 1)} * *",
        "custom": str(item.get("cronExpression", "")),
    }
    return {"cron": fields.get(mode, f"{minute} {hour} * * *")}


def _time(interval: Object) -> dict[str, str] | None:  # noqa: PLR0911 - one for each unit
    """One interval of a schedule trigger; the default is every day at midnight.

    >>> _time(Object({"triggerAtHour": 9})), _time(Object({"field": "minutes", "minutesInterval": 5}))
    ({'cron': '0 9 * * *'}, {'cron': '*/5 * * * *'})
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
