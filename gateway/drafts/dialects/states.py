"""State machines of AWS Step Functions (Amazon States Language)."""

import re
from typing import Any

from gateway.drafts.dialects.parts import first, objects, set_from
from gateway.drafts.draft import Draft
from gateway.drafts.habits.names import step_name
from gateway.drafts.tree import Array, Object, Place

LAMBDA = re.compile(r"arn:[\w-]+:[\w-]+:[\w-]*:\d*:(?:function:)?(?P<name>[\w.-]+)(?::\$?\w+)?")
COMPARISONS = {
    "Equals": "==",
    "EqualsPath": "==",
    "GreaterThan": ">",
    "GreaterThanPath": ">",
    "GreaterThanEquals": ">=",
    "GreaterThanEqualsPath": ">=",
    "LessThan": "<",
    "LessThanPath": "<",
    "LessThanEquals": "<=",
    "LessThanEqualsPath": "<=",
}
TYPES = ("Numeric", "String", "Boolean", "Timestamp")
FORMAT = re.compile(r"States\.Format\(\s*'(?P<text>(?:[^'\\]|\\.)*)'\s*(?:,\s*(?P<arguments>.*))?\)", re.DOTALL)
STATES_MAX = 200


def is_states(tree: Any) -> bool:
    """Whether a document is a state machine."""
    return isinstance(first(tree, "States"), Object) and isinstance(first(tree, "StartAt"), str)


def translate_states(tree: Any) -> list[Draft]:
    """The draft of a state machine: its states in the order of execution."""
    draft = Draft(tree)
    machine = tree if is_states(tree) else first(tree, "definition", "Definition")
    if not is_states(machine):
        return [draft]
    reader = _Machine(draft, machine, params=_params_of(tree))
    steps = reader.steps()
    for key in ("StartAt", "States", "TimeoutSeconds", "Version", "QueryLanguage"):
        if key == "TimeoutSeconds" and key in machine:
            set_from(tree, "timeout", f"{machine[key]}s", machine.place_of(key))
        machine.pop(key, None)
    if isinstance(tree.get("Comment"), str):
        tree.renamed("Comment", "description")
    tree["pipeline"] = Object({"version": 1, "steps": steps}, machine.place)
    timeout = tree.pop("timeout", None)
    set_from(tree["pipeline"], "timeout", timeout, machine.place)
    draft.note("Translates the state machine: each state is a step.", tree.place)
    return [draft]


def _params_of(tree: Object) -> list[str]:
    given = first(tree, "input", "Input", "params", "inputs")
    return list(given) if isinstance(given, Object) else []


class _Machine:
    """Walks from state to state. `before` is the name of the step with the current output, `paths` the ResultPaths."""

    def __init__(self, draft: Draft, machine: Object, *, params: list[str], item: bool = False) -> None:
        self._draft = draft
        self._machine = machine
        self._params = params
        self._item = item
        self._paths: dict[str, str] = {}
        self._before = ""
        self._parallel: list[str] = []
        self._seen: set[str] = set()

    def steps(self) -> Array:
        """The steps from the first state on."""
        return self._from(str(self._machine["StartAt"]), None)

    def _from(self, name: str | None, until: str | None) -> Array:
        result = Array(place=self._machine.place)
        states = self._machine["States"]
        while name is not None and name != until and len(self._seen) < STATES_MAX:
            state = states.get(name)
            if not isinstance(state, Object):
                self._draft.lose(self._machine.place, f"The state {name!r} does not exist.")
                break
            if name in self._seen:
                self._draft.lose(state.place, f"The machine returns to {name!r}: write a loop with `until`.")
                break
            self._seen.add(name)
            if state.get("Type") == "Choice":
                steps, name = self._choice(state, until)
                result.extend(steps)
                continue
            step = self._step(name, state)
            if step is not None:
                result.append(step)
            name = state.get("Next") if isinstance(state.get("Next"), str) and state.get("End") is not True else None
        return result

    def _step(self, name: str, state: Object) -> Object | None:
        kind = state.get("Type", "Task")
        identifier = step_name(name) or "step"
        step = Object({"id": identifier}, state.place)
        if isinstance(state.get("Comment"), str):
            step["name"] = state["Comment"][:200]
        make = {"Task": self._task, "Wait": self._wait, "Pass": self._pass, "Fail": self._fail, "Map": self._map}
        if kind == "Succeed":
            return None
        if kind == "Parallel":
            self._branches(state, step)
        elif kind in make:
            make[str(kind)](state, step)
        else:
            self._draft.lose(state.place, f"A state of type {kind!r} is not understood.")
            return None
        self._retry(state, step)
        self._catch(state, step)
        path = state.get("ResultPath")
        if isinstance(path, str) and path.startswith("$."):
            self._paths[path[2:]] = identifier
            self._before = self._before if self._item or self._params or self._paths else identifier
        elif kind != "Wait" and (path is None or path == "$"):
            self._before, self._paths, self._params = identifier, {}, []
        return step

    def _task(self, state: Object, step: Object) -> None:
        resource = str(state.get("Resource", ""))
        arguments = self._arguments(first(state, "Parameters", "Arguments"))
        if "lambda:invoke" in resource and isinstance(arguments.get("FunctionName"), str):
            resource = arguments["FunctionName"]
            payload = arguments.get("Payload")
            arguments = payload if isinstance(payload, Object) else Object(place=state.place)
        match = LAMBDA.fullmatch(resource)
        step["uses"] = match["name"] if match else resource
        step.places["uses"] = state.place_of("Resource")
        if arguments:
            step["with"] = arguments
        set_from(step, "timeout", _seconds(state.get("TimeoutSeconds")), state.place_of("TimeoutSeconds"))

    def _wait(self, state: Object, step: Object) -> None:
        arguments = Object(place=state.place)
        set_from(arguments, "for", _seconds(state.get("Seconds")), state.place_of("Seconds"))
        set_from(arguments, "until", state.get("Timestamp"), state.place_of("Timestamp"))
        for key, ours in (("SecondsPath", "for"), ("TimestampPath", "until")):
            if isinstance(state.get(key), str):
                arguments[ours] = f"${{{self._path(state[key])}}}" + ("s" if ours == "for" else "")
        step["uses"], step["with"] = "orchestrator.wait", arguments

    def _pass(self, state: Object, step: Object) -> None:
        step["uses"] = "orchestrator.set"
        step["with"] = self._arguments(first(state, "Parameters", "Result"))

    def _fail(self, state: Object, step: Object) -> None:
        step["uses"] = "orchestrator.fail"
        step["with"] = Object(
            {"code": state.get("Error", "FAILED"), "message": state.get("Cause", "failed")}, state.place
        )

    def _map(self, state: Object, step: Object) -> None:
        items = first(state, "ItemsPath", "Items")
        step["foreach"] = (
            self._path(items) if isinstance(items, str) else items if items is not None else self._before_path()
        )
        set_from(step, "max_parallel", state.get("MaxConcurrency") or None, state.place_of("MaxConcurrency"))
        inner = first(state, "ItemProcessor", "Iterator")
        if is_states(inner):
            step["do"] = _Machine(self._draft, inner, params=[], item=True).steps()

    def _branches(self, state: Object, step: Object) -> None:
        branches = Object(place=state.place)
        self._parallel = []
        for number, branch in enumerate(objects(state.get("Branches")), 1):
            if not is_states(branch):
                continue
            name = step_name(str(branch["StartAt"])) or f"branch{number}"
            inner = _Machine(self._draft, branch, params=self._params).steps()
            branches[name] = inner
            last = objects(inner)[-1:]
            self._parallel.append(f"steps.{step['id']}.{last[0]['id'] if last else name}")
        step["branches"] = branches

    def _choice(self, state: Object, until: str | None) -> tuple[Array, str | None]:
        """The steps of each alternative, with its condition; the machine continues where they meet."""
        result = Array(place=state.place)
        conditions: list[str] = []
        alternatives: list[tuple[str, str]] = []
        for choice in objects(state.get("Choices")):
            condition = self._condition(choice)
            if isinstance(choice.get("Next"), str):
                negated = [f"!({earlier})" for earlier in conditions]
                alternatives.append((" && ".join([*negated, condition]) if negated else condition, choice["Next"]))
            conditions.append(condition)
        default = state.get("Default")
        if isinstance(default, str):
            alternatives.append((" && ".join(f"!({condition})" for condition in conditions), default))
        meeting = self._meeting([target for _, target in alternatives])
        ends = [target for _, target in alternatives if self._ends_in_failure(target)]
        for condition, target in alternatives:
            if target == meeting:
                continue
            if len(ends) == len(alternatives) - 1 and target not in ends and meeting is None:
                continue  # the others fail, so what remains needs no condition
            state_of = (self._before, dict(self._paths), list(self._params))
            for step in objects(self._from(target, meeting or until)):
                written = step.get("if")
                step["if"] = f"({condition}) && ({written})" if isinstance(written, str) else condition
                if not isinstance(written, str):
                    step.renamed("if", "if")
                result.append(step)
            self._before, self._paths, self._params = state_of
        if meeting is None and len(ends) == len(alternatives) - 1:
            meeting = next((target for _, target in alternatives if target not in ends), None)
        return result, meeting

    def _ends_in_failure(self, name: str) -> bool:
        state = self._machine["States"].get(name)
        return isinstance(state, Object) and state.get("Type") == "Fail"

    def _meeting(self, targets: list[str]) -> str | None:
        chains = [self._chain(target) for target in targets if not self._ends_in_failure(target)]
        return (
            next((name for name in chains[0] if all(name in chain for chain in chains)), None)
            if len(chains) > 1
            else None
        )

    def _chain(self, name: str | None) -> list[str]:
        chain: list[str] = []
        while isinstance(name, str) and name not in chain:
            chain.append(name)
            state = self._machine["States"].get(name)
            name = state.get("Next") if isinstance(state, Object) else None
        return chain

    def _condition(self, choice: Object) -> str:
        for key, word in (("And", "&&"), ("Or", "||")):
            if isinstance(choice.get(key), Array):
                return f" {word} ".join(f"({self._condition(part)})" for part in objects(choice[key]))
        if isinstance(choice.get("Not"), Object):
            return f"!({self._condition(choice['Not'])})"
        path = self._path(str(choice.get("Variable", "$")))
        if isinstance(choice.get("IsPresent"), bool) or isinstance(choice.get("IsNull"), bool):
            present = choice.get("IsPresent", not choice.get("IsNull"))
            return f"{path} != null" if present else f"{path} == null"
        for key, value in choice.items():
            for kind in TYPES:
                if key.startswith(kind) and (operator := COMPARISONS.get(key.removeprefix(kind))):
                    right = self._path(value) if key.endswith("Path") else _literal(value)
                    return f"{path} {operator} {right}"
        self._draft.lose(choice.place, "This comparison is not understood: write the `if` by hand.")
        return f"{path} != null"

    def _arguments(self, value: Any) -> Object:
        """Parameters with `key.$` as templates."""
        result = Object(place=value.place if isinstance(value, Object) else Place())
        for key, item in value.items() if isinstance(value, Object) else ():
            place = value.place_of(key)
            if key.endswith(".$") and isinstance(item, str):
                set_from(result, key[:-2], self._template(item), place)
            else:
                set_from(result, key, self._arguments(item) if isinstance(item, Object) else item, place)
        return result

    def _template(self, text: str) -> str:
        match = FORMAT.fullmatch(text.strip())
        if match is None:
            return f"${{{self._path(text)}}}"
        arguments = [part.strip() for part in (match["arguments"] or "").split(",") if part.strip()]
        parts = match["text"].split("{}")
        result = parts[0]
        for argument, rest in zip([*arguments, *[""] * len(parts)], parts[1:], strict=False):
            literal = argument[1:-1] if argument.startswith("'") else None
            result += (literal if literal is not None else f"${{{self._path(argument)}}}") + rest
        return result

    def _before_path(self) -> str:
        return f"steps.{self._before}" if self._before else "item" if self._item else "params"

    def _path(self, path: str) -> str:
        """A JSONPath as a path here: from a ResultPath, the input, or the output of the state before."""
        path = path.strip()
        if path.startswith("$$.Map.Item.Value"):
            return "item" + path.removeprefix("$$.Map.Item.Value")
        if path.startswith("$$"):
            return {"$$.Execution.Id": "run.name", "$$.Execution.StartTime": "now"}.get(path, path)
        rest = path.removeprefix("$")
        if self._parallel and (match := re.match(r"\[(\d+)\](.*)", rest)) and int(match[1]) < len(self._parallel):
            return self._parallel[int(match[1])] + match[2]
        names = rest.removeprefix(".").split(".")
        for length in range(len(names), 0, -1):
            if (step := self._paths.get(".".join(names[:length]))) is not None:
                return ".".join([f"steps.{step}", *names[length:]])
        root = self._before_path()
        if names[0] in self._params:
            root = "params"
        return root + rest if rest.startswith("[") else ".".join([root, *(name for name in names if name)])

    def _retry(self, state: Object, step: Object) -> None:
        rules = objects(state.get("Retry"))
        if not rules:
            return
        rule, place = rules[0], state.place_of("Retry")
        retry = Object({"max": rule.get("MaxAttempts", 3)}, place)
        retry["delay"] = _seconds(rule.get("IntervalSeconds", 1))
        retry["factor"] = rule.get("BackoffRate", 2.0)
        set_from(retry, "max_delay", _seconds(rule.get("MaxDelaySeconds")), place)
        step["retry"] = retry
        if len(rules) > 1:
            self._draft.lose(rules[1].place, "Only the first retry rule of a state is carried over.")

    def _catch(self, state: Object, step: Object) -> None:
        for catch in objects(state.get("Catch"))[:1]:
            if isinstance(catch.get("Next"), str):
                before = self._before, dict(self._paths), list(self._params)
                handlers = self._from(catch["Next"], str(state.get("Next")))
                self._before, self._paths, self._params = before
                if state.get("End") is not True and str(state.get("Next")) not in self._chain(catch["Next"]):
                    handlers.append(Object({"id": f"{step['id']}_stop", "uses": "orchestrator.stop"}, catch.place))
                step["on_error"] = handlers


def _seconds(value: Any) -> str | None:
    return f"{value}s" if isinstance(value, int | float) and not isinstance(value, bool) else None


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return f"`{value}`" if isinstance(value, int | float) else "'" + str(value).replace("'", "\\'") + "'"
