"""The shape of steps: how they are listed, nested and named, and the keys of their members."""

import json
import re
from collections.abc import Mapping
from typing import Any

from gateway.drafts.draft import ASSUMED, CERTAIN, Draft
from gateway.drafts.habits.context import Work
from gateway.drafts.habits.durations import duration
from gateway.drafts.habits.tools import builtin_of, calls, known_tool
from gateway.drafts.habits.walk import DEPTH_MAX, lists_of_steps, pipeline_of, steps_of
from gateway.drafts.habits.words import (
    APPROVAL_WORDS,
    ATTEMPT_WORDS,
    ITEM_WORDS,
    RETRY_WORDS,
    STEP_FIELDS,
    STEP_LISTS,
    STEP_WORDS,
    TRIVIA,
    folded,
    meaning,
)
from gateway.drafts.tree import Array, Object, plain

TOOL_WORDS = frozenset({"type", "kind", "uses", "action", "tool"})
MODES = {"parallel": "branches", "sequential": "do", "sequence": "do", "group": "do", "block": "do", "loop": "foreach"}
NOTIFYING = frozenset({"email", "email_on_failure", "email_on_retry"})
KINDS: Mapping[str, tuple[type, ...]] = {
    "name": (str,),
    "branches": (Array, Object),
    "foreach": (str, Array, Object),
}
NULLABLE = frozenset({"if", "save_as"})
"""Members that may be null."""
RETRY_DELAYS: Mapping[str, str] = {
    f"retry_{word}_{unit}": letter
    for word in ("delay", "wait", "interval", "backoff")
    for unit, letter in (("seconds", "s"), ("secs", "s"), ("sec", "s"), ("ms", "ms"), ("minutes", "m"), ("s", "s"))
}
LOOPS = frozenset({"loop_while", "repeat_while"})
RETRY_FIELDS = frozenset({"max", "delay", "factor", "max_delay", "jitter", "codes"})
ITEM_NAME = "item name"
PREVIOUS_KEYS = frozenset({"uses", "do", "branches"})
_SPACED = re.compile(
    r"\s*(\d+)\s*(?:x|times?|retries|attempts)?[\s,;@]*(?:every|each|with|after|delay|wait|in|at)?"
    r"\s*(?:a delay of |intervals? of )?(\d.*?)(?:\s*(?:apart|delay|between|intervals?|pause|wait))?\s*"
)
_PATH = re.compile(r"[a-z][\w-]*(?:\.[a-z][\w-]*)+", re.ASCII)


def step_lists(work: Work) -> None:
    """Lists of steps: a map of id and step, a single step, a job with steps."""
    pipeline = pipeline_of(work)
    if pipeline is None:
        return
    for key in ("steps", "on_error"):
        if key in pipeline:
            _list(work, pipeline, key, 0)
    if isinstance(pipeline.get("on_error"), str):
        value = pipeline["on_error"]
        if value in {"fail", "stop", "abort"}:
            work.draft.remove(pipeline, "on_error", "A pipeline fails on an error unless it is handled.")


def _list(work: Work, parent: Object, key: str, depth: int) -> None:
    draft, value = work.draft, parent[key]
    if isinstance(value, Object):
        if _is_step(value):
            draft.put(parent, key, Array([value], value.place), "Makes a list of the step.")
        elif len(value) == 1 and folded(next(iter(value))) in STEP_LISTS and depth == 0:
            inner = next(iter(value.values()))
            draft.put(parent, key, inner, "Takes the steps out of another list.")
            _list(work, parent, key, depth + 1)
            return
        elif value and all(isinstance(item, Object) for item in value.values()):
            _named_steps(draft, parent, key, value)
    steps = parent[key]
    if not isinstance(steps, Array) or depth > DEPTH_MAX:
        return
    _empty_groups(work, steps)
    for index, step in enumerate(steps):
        if isinstance(step, str) and (known_tool(work, step) or _PATH.fullmatch(step)):
            draft.put(steps, index, Object({"uses": step}, steps.place_of(index)), "Makes a step of the tool.")
        elif isinstance(step, Object):
            _single_key(work, steps, index)
            _step(work, step, depth)


def _empty_groups(work: Work, steps: Array) -> None:
    """A loop whose `do` is empty: the steps after it that read its element were meant to be in it."""
    for index, step in enumerate(steps):
        key = next((key for key in step if folded(key) in {"do", "steps"}), "") if isinstance(step, Object) else ""
        if (
            not key
            or step[key]
            or not any(meaning(name, STEP_WORDS) == "foreach" or name == "foreach" for name in step)
        ):
            continue
        name = next((str(step[word]) for word in step if folded(word) in ITEM_WORDS), "item")
        reads = re.compile(rf"\b(?:item|index|{re.escape(name)})\b")
        inner = Array(place=step.place_of(key))
        while index + 1 < len(steps) and reads.search(json.dumps(plain(steps[index + 1]), default=str)):
            inner.append(steps.pop(index + 1))
        if inner:
            steps.places = []
            work.draft.put(step, key, inner, "The steps that read the element of the loop are in it.", ASSUMED)
            return


def _is_step(value: Object) -> bool:
    return bool({meaning(key, STEP_WORDS) or folded(key) for key in value} & {"uses", "do", "branches"}) and any(
        not isinstance(item, Object) for item in value.values()
    )


def _named_steps(draft: Draft, parent: Object, key: str, value: Object) -> None:
    """`steps: {w: {uses: …}}`: the key is the id."""
    items = Array(place=value.place)
    for name, step in value.items():
        if "id" not in step:
            members = {"id": name, **step}
            step.clear()
            step.update(members)
            step.places["id"] = value.place_of(name)
        items.append(step)
    draft.put(parent, key, items, "Makes a list of the steps; the key of each is its id.")


def _single_key(work: Work, steps: Array, index: int) -> None:
    """`- w: {uses: …}` and `- mail.send: {to: …}`."""
    step, draft = steps[index], work.draft
    if len(step) != 1:
        return
    [(key, value)] = step.items()
    if key in STEP_FIELDS or meaning(key, STEP_WORDS) in STEP_FIELDS:
        if key not in {"step", "task", "job"} or not isinstance(value, Object):
            return
        draft.put(steps, index, value, f"Takes the step out of `{key}`.")
    elif known_tool(work, key) or (builtin_of(key) and not _is_call(value)):
        draft.put(
            steps, index, Object({"uses": key, "with": value or Object()}, step.place), "Makes a step of the tool."
        )
    elif isinstance(value, Object) and _is_call(value):
        if "id" not in value:
            members = {"id": key, **value}
            value.clear()
            value.update(members)
        draft.put(steps, index, value, "The key of the step is its id.")


def _is_call(value: Any) -> bool:
    return isinstance(value, Object) and bool(
        {meaning(key, STEP_WORDS) or folded(key) for key in value} & PREVIOUS_KEYS
    )


def _step(work: Work, step: Object, depth: int) -> None:
    _first_key(work.draft, step)
    _poll(work.draft, step)
    _nested_tool(work.draft, step)
    _rename_keys(work, step)
    _on_error(work, step)
    _mode(work, step)
    _branches(work, step, depth)
    for key in ("do", "else", "on_error"):
        if isinstance(step.get(key), Object | Array):
            _list(work, step, key, depth + 1)
    _loop(work, step, depth)


def _first_key(draft: Draft, step: Object) -> None:
    """`- fetch:` with the members of the step on the same level: the key is its id."""
    key = next(iter(step), "")
    if key and step[key] is None and "id" not in step and "uses" in step and key not in STEP_FIELDS:
        step.pop(key)
        members = dict(step)
        step.clear()
        step |= {"id": key, **members}
        draft.put(step, "id", key, "The key of the step is its id.")


def _poll(draft: Draft, step: Object) -> None:
    """`poll: {until: …, every: …}`: members of the step."""
    key = next((key for key in step if folded(key) in {"poll", "polling", "wait_until", "repeat"}), None)
    inner = step[key] if key else None
    if key is None or not isinstance(inner, Object) or not {"until", "while", "condition"} & set(map(folded, inner)):
        return
    for name in list(inner):
        target = "until" if folded(name) == "condition" else name
        if target not in step:
            draft.move(inner, name, step, target, f"Moves `{name}` out of `{key}`.")
    if not inner:
        step.pop(key)


def _nested_tool(draft: Draft, step: Object) -> None:
    """`uses: {tool: x, with: …}`, and `do: <tool>`."""
    if isinstance(step.get("do"), str) and "uses" not in step and _PATH.fullmatch(step["do"]):
        draft.rename(step, "do", "uses", "A tool is called with `uses`.")
    for key in ("uses", "tool", "action", "call", "function"):
        value = step.get(key)
        if not isinstance(value, Object):
            continue
        name = next((word for word in value if folded(word) in {"tool", "name", "uses", "id", "function"}), None)
        if name is not None and isinstance(value[name], str):
            for member in list(value):
                if member != name and member not in step:
                    draft.move(value, member, step, member, f"Moves `{member}` out of `{key}`.")
            draft.put(step, key, value[name], "A tool is named by a text.")


def _rename_keys(work: Work, step: Object) -> None:
    """Renames the members of a step. A word that is an input of its tool stays: it belongs into `with`."""
    draft = work.draft
    for key in list(step):
        name = folded(key)
        if key in STEP_FIELDS or key not in step:
            continue
        if name in STEP_FIELDS and name not in step:
            draft.rename(step, key, name, f"Renames `{key}` to `{name}`.")
            continue
        target: str | None = meaning(key, STEP_WORDS)
        if target == "branches" and isinstance(step[key], int):
            target = "max_parallel"
        if target is None or target in step or not _fits(work, step, key, target):
            continue
        certainty = ASSUMED if target == "name" else CERTAIN
        draft.rename(step, key, target, f"Renames `{key}` to `{target}`.", certainty)
        if target == "retry" and name in ATTEMPT_WORDS and isinstance(step["retry"], int):
            value = max(step["retry"] - 1, 0)
            draft.put(step, "retry", value, "`retry` counts repetitions, without the first attempt.")


def _fits(work: Work, step: Object, key: str, target: str) -> bool:
    """Whether a word means this member here, by the kind of its value."""
    value = step[key]
    if target == "uses":
        loose = folded(key) in {"task", "run", "command", "service"}
        return isinstance(value, str) and (not loose or _is_tool(work, value))
    if _is_other(folded(key), target, value) or not _fits_others(step, folded(key), target):
        return False
    if folded(key) == "try":
        return isinstance(value, Object) and all(folded(name) in {*RETRY_FIELDS, *RETRY_WORDS} for name in value)
    if target == "with" and isinstance(value, str):
        return "{" in value and key not in {"data", "body"}
    if target in {"save_as", "id"} and "{" in str(value):
        return False
    return isinstance(value, KINDS.get(target, object)) and not (folded(key) == "then" and isinstance(value, Object))


def _fits_others(step: Object, name: str, target: str) -> bool:
    """Whether a word has this meaning with the other members: `interval` in a loop, `filter` outside of one."""
    words = {meaning(member, STEP_WORDS) or folded(member) for member in step}
    if target == "every":
        return bool(words & {"until", "while", *LOOPS})
    return name != "filter" or "foreach" not in words


def _is_other(name: str, target: str, value: Any) -> bool:
    """Words with two meanings: `error: TEXT` of a failing step, `for: 1h` of a waiting one."""
    if target == "on_error":
        return name == "error" and isinstance(value, str)
    return target == "foreach" and name == "for" and duration(value) is not None


def _is_tool(work: Work, value: str) -> bool:
    return known_tool(work, value) or bool(builtin_of(value)) or bool(_PATH.fullmatch(value))


def _mode(work: Work, step: Object) -> None:
    """`type: parallel` with steps, `type: tool`, and `type: <tool>`."""
    draft = work.draft
    key = next((key for key in step if folded(key) in {"type", "kind"} and isinstance(step[key], str)), None)
    if key is None:
        return
    value = folded(step[key])
    if value in MODES and "uses" not in step:
        if value == "parallel" and "do" in step and "branches" not in step:
            draft.rename(step, "do", "branches", "The steps run concurrently.")
        draft.remove(step, key, "The kind of a step is one of its members.")
    elif value in {"tool", "action", "task", "step", "function", "call", "activity"} and (
        "uses" in step or "do" in step
    ):
        draft.remove(step, key, "A step with `uses` calls a tool.")
    elif "uses" not in step and (known_tool(work, step[key]) or builtin_of(step[key]) or _PATH.fullmatch(step[key])):
        draft.rename(step, key, "uses", f"Renames `{key}` to `uses`.")
    elif "uses" not in step and value in {"condition", "conditional", "if"} and "do" in step:
        draft.remove(step, key, "A step with `if` is conditional.")


def _branches(work: Work, step: Object, depth: int) -> None:
    """`parallel: [{…}, {…}]` and `parallel: {a: {…}}`: branches are named lists of steps."""
    draft, value = work.draft, step.get("branches")
    if isinstance(value, Array):
        named = Object(place=value.place)
        for index, branch in enumerate(value):
            named[_branch_name(branch, index, named)] = _branch(branch)
        draft.put(step, "branches", named, "Names the branches.", ASSUMED)
    elif isinstance(value, Object) and (_is_step(value) or set(value) == {"steps"} or set(value) == {"branches"}):
        inner = next(iter(value.values())) if len(value) == 1 else Array([value], value.place)
        draft.put(step, "branches", inner, "Takes the branches out of another object.")
        _branches(work, step, depth)
        return
    branches = step.get("branches")
    if not isinstance(branches, Object):
        return
    for name in list(branches):
        if isinstance(branches[name], Object):
            inner = branches[name]
            steps = inner["steps"] if set(inner) == {"steps"} else Array([inner], inner.place)
            draft.put(branches, name, steps, "A branch is a list of steps.")
        fixed = _identifier(name)
        if fixed != name and fixed not in branches:
            draft.rename(branches, name, fixed, "Writes the name with lower-case letters, digits and `_`.")
            work.notes.setdefault("branch names", {})[name] = fixed
        _list(work, branches, fixed if fixed in branches else name, depth + 1)


def _branch(branch: Any) -> Any:
    if isinstance(branch, Array):
        return branch
    if isinstance(branch, Object) and isinstance(branch.get("steps"), Array):
        return branch["steps"]
    return Array([branch])


def _branch_name(branch: Any, index: int, used: Object) -> str:
    name = branch.get("id") or branch.get("name") if isinstance(branch, Object) else None
    identifier = _identifier(str(name)) if name else ""
    return identifier if identifier and identifier not in used else f"branch_{index + 1}"


def _identifier(text: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()).strip("_")
    return re.sub(r"^[0-9_]+", "", words)[:63] or text


def _named_element(work: Work, step: Object) -> None:
    """`for: x, in: list`: the name of the element and the list."""
    name, key = (
        step.get("foreach"),
        next((key for key in ("in", "of", "over") if isinstance(step.get(key), str | Array)), ""),
    )
    if key and isinstance(name, str) and re.fullmatch(r"[A-Za-z_]\w*", name):
        work.draft.put(step, "foreach", step.pop(key), "`foreach` is the list; its element is called `item`.")
        work.notes.setdefault(ITEM_NAME, {})[id(step)] = name


def _loop(work: Work, step: Object, depth: int) -> None:
    """`foreach: {items: …, do: […], as: x}`, and the name of the element."""
    _named_element(work, step)
    draft, value = work.draft, step.get("foreach")
    if isinstance(value, Object):
        _loop_object(draft, step, value)
    for key in list(step):
        if folded(key) in ITEM_WORDS and "foreach" in step and isinstance(step[key], str) and key not in STEP_FIELDS:
            step_name = step[key]
            draft.remove(step, key, "The element of a loop is called `item`.")
            work.notes.setdefault(ITEM_NAME, {})[id(step)] = step_name
    if "foreach" in step and isinstance(step.get("do"), Object | Array):
        _list(work, step, "do", depth + 1)
    text = step.get("foreach")
    if isinstance(text, str) and (match := re.fullmatch(r"\s*(\w+)\s+in\s+(.+)", text, re.DOTALL)) is not None:
        draft.put(step, "foreach", match[2], "The element of a loop is called `item`.")
        work.notes.setdefault(ITEM_NAME, {})[id(step)] = match[1]
    if "as" in step and "foreach" not in step and "save_as" not in step and isinstance(step["as"], str):
        draft.rename(step, "as", "save_as", "Renames `as` to `save_as`.")


def _loop_object(draft: Draft, step: Object, value: Object) -> None:
    words = {
        "items": "foreach",
        "in": "foreach",
        "list": "foreach",
        "over": "foreach",
        "values": "foreach",
        "collection": "foreach",
    }
    for key in list(value):
        name = folded(key)
        target = words.get(name) or ("do" if name in {"do", "step", "body", *STEP_LISTS} else meaning(key, STEP_WORDS))
        if name in ITEM_WORDS:
            draft.move(value, key, step, "as", f"Moves `{key}` out of the loop.")
        elif target == "foreach":
            continue
        elif target in STEP_FIELDS and target not in step:
            draft.move(value, key, step, str(target), f"Moves `{key}` out of the loop.")
    items = next((key for key in value if words.get(folded(key)) == "foreach"), None)
    if items is not None:
        draft.put(step, "foreach", value[items], "`foreach` is the list.")


def retries(work: Work) -> None:
    """The members of `retry`: `{attempts: 3, backoff: 2}`, `{limit: 3}`, `true`."""
    for step in steps_of(work):
        _retry(work.draft, step)
    policy = work.draft.root.get("run_policy") if isinstance(work.draft.root, Object) else None
    if isinstance(policy, Object):
        _retry(work.draft, policy)
        if isinstance(policy.get("retry"), int) and not isinstance(policy["retry"], bool):
            work.draft.put(policy, "retry", {"max": policy["retry"]}, "The retries of a task are an object.")


def _merged(draft: Draft, step: Object, key: str) -> None:
    """`retry: [{max: 3}, {delay: 10s}]`: the members of one object."""
    items = step.get(key)
    if isinstance(items, Array) and items and all(isinstance(item, Object) for item in items):
        keys = [name for item in items for name in item]
        if len(set(keys)) == len(keys):
            value = {name: value for item in items for name, value in item.items()}
            draft.put(step, key, value, f"`{key}` is one object.")


def _retry(draft: Draft, step: Object) -> None:
    _merged(draft, step, "retry")
    for key in list(step):
        name = folded(key)
        if name in {"retry_on_failure", "retry_on_fail", "retryable"} and isinstance(step[key], bool):
            off = step[key] is False and "retry" not in step
            draft.remove(step, key, "A step is repeated by its rule.")
            draft.put(step, "retry", 0, "No repetition.") if off else None
            continue
        is_delay = name == "delay" and "retry" in step
        if is_delay or name in {
            "backoff",
            "retry_delay",
            "retry_backoff",
            "retry_interval",
            "retry_wait",
            "retry_factor",
            *RETRY_DELAYS,
        }:
            if name in RETRY_DELAYS and isinstance(step[key], int | float):
                step[key] = f"{step[key]:g}{RETRY_DELAYS[name]}"
            _joined_retry(draft, step, key)
    rule = step.get("retry")
    if isinstance(rule, bool):
        why = "The default rule repeats twice." if rule else "No repetition."
        draft.remove(step, "retry", why) if rule else draft.put(step, "retry", 0, why)
    elif isinstance(rule, str) and folded(rule) in {"none", "no", "never", "false", "off"}:
        draft.put(step, "retry", 0, "No repetition.")
    elif isinstance(rule, str) and (count := re.fullmatch(r"\s*(\d+)\s*(?:x|times?|retries|attempts)?\s*", rule)):
        draft.put(step, "retry", int(count[1]), "The number of repetitions.")
    elif (
        isinstance(rule, str)
        and len(rule) < 80
        and (spaced := _SPACED.fullmatch(rule)) is not None
        and duration(spaced[2])
    ):
        value = {"max": int(spaced[1]), "delay": duration(spaced[2])}
        draft.put(step, "retry", value, "The number of repetitions, and the delay before each.")
    elif isinstance(rule, Object):
        _rule(draft, rule)


def _joined_retry(draft: Draft, step: Object, key: str) -> None:
    rule = step.get("retry", step.pop("max_retries", None))
    if not isinstance(rule, Object):
        if rule is not None and not isinstance(rule, int):
            return
        rule = Object({} if rule is None else {"max": rule}, step.place_of("retry"))
        step["retry"] = rule
    is_factor = isinstance(step[key], int | float) and folded(key) == "backoff" and step[key] < 10
    target = "factor" if is_factor or folded(key) == "retry_factor" else "delay"
    if isinstance(step[key], str) and step[key].lower() in {"exponential", "linear", "fixed", "constant"}:
        factor = 2 if step[key].lower() == "exponential" else 1
        step.pop(key)
        draft.put(rule, "factor", factor, f"`{key}` is the factor of the delay.", ASSUMED)
        return
    draft.move(step, key, rule, target, f"Moves `{key}` into `retry`.")


def _open_backoff(draft: Draft, rule: Object) -> None:
    """`retry: {backoff: {initial: 10s}}`: members of the rule."""
    for key in [key for key in rule if folded(key) in {"backoff", "strategy"} and isinstance(rule[key], Object)]:
        inner = rule[key]
        for name in [name for name in inner if name not in rule]:
            draft.move(inner, name, rule, name, f"Moves `{name}` out of `{key}`.")
        if not inner:
            rule.pop(key)


def _rule(draft: Draft, rule: Object) -> None:
    _open_backoff(draft, rule)
    for key in list(rule):
        name = folded(key)
        value = rule[key]
        if name in ATTEMPT_WORDS and "max" not in rule and isinstance(value, int):
            draft.rename(rule, key, "max", f"Renames `{key}` to `max`.")
            draft.put(rule, "max", max(value - 1, 0), "`max` counts repetitions, without the first attempt.")
        elif name in {"backoff", "strategy", "type", "backoff_type", "backoff_strategy"}:
            if isinstance(value, str) and value.lower() in {"exponential", "linear", "fixed", "constant"}:
                rule.pop(key)
                factor = 2 if value.lower() == "exponential" else 1
                draft.put(rule, "factor", factor, f"`{key}` is the factor of the delay.", ASSUMED)
            elif "factor" not in rule and isinstance(value, int | float) and 1 <= value <= 10:
                draft.rename(rule, key, "factor", f"Renames `{key}` to `factor`.", ASSUMED)
            elif "delay" not in rule:
                draft.rename(rule, key, "delay", f"Renames `{key}` to `delay`.")
        elif name in {"delay_ms", "backoff_ms", "wait_ms", "interval_ms", "retry_delay_ms"} and "delay" not in rule:
            draft.rename(rule, key, "delay", f"Renames `{key}` to `delay`.")
            draft.put(rule, "delay", f"{value}ms", "Writes the duration with a unit.")
        elif (target := RETRY_WORDS.get(name)) is not None and target not in rule:
            draft.rename(rule, key, target, f"Renames `{key}` to `{target}`.")


def errors(work: Work) -> None:
    """`continue_on_error: true`, `on_error: ignore`, `{action: continue}`; `try` is a group."""
    for step in list(steps_of(work)):
        for key in list(step):
            name = folded(key)
            if name in {
                "continue_on_error",
                "ignore_errors",
                "allow_failure",
                "continueonfail",
                "continue_on_fail",
                "soft_fail",
                "ignore_error",
                "ignore_failure",
                "ignore_failures",
                "allow_failures",
                "allow_fail",
                "may_fail",
                "continue_on_failure",
            }:
                _continue(work.draft, step, key)
            elif name == "try" and "do" not in step and isinstance(step[key], Array | Object):
                work.draft.rename(step, key, "do", "Renames `try` to `do`.")
                _list(work, step, "do", 1)
        _on_error(work, step)


def _continue(draft: Draft, step: Object, key: str) -> None:
    value = step[key]
    if str(value).lower() in {"true", "yes"} and "on_error" not in step:
        draft.rename(step, key, "on_error", f"Renames `{key}` to `on_error`.")
        draft.put(step, "on_error", "continue", "The run continues after an error.")
    elif str(value).lower() in {"false", "no"}:
        draft.remove(step, key, "A step fails on an error unless it is handled.")


def _on_error(work: Work, step: Object) -> None:
    draft, value = work.draft, step.get("on_error")
    if (
        isinstance(value, Object)
        and set(map(folded, value)) <= {"retry", "retries", "max_retries"}
        and "retry" not in step
    ):
        [key] = value
        draft.move(value, key, step, "retry", "An error is repeated by `retry`.")
        draft.remove(step, "on_error", "An empty handler handles nothing.")
        return
    if isinstance(value, Object) and len(value) == 1:
        [(key, inner)] = value.items()
        if folded(key) in {"continue", "ignore"} and isinstance(inner, bool):
            word = "continue" if inner else "fail"
            draft.put(step, "on_error", word, "`on_error` is `fail`, `continue` or a list of steps.")
        elif folded(key) in {"action", "strategy", "policy", "type"} and isinstance(inner, str):
            draft.put(step, "on_error", inner, "`on_error` is `fail`, `continue` or a list of steps.")
        elif folded(key) in STEP_LISTS or key in {"do", "then"}:
            draft.put(step, "on_error", inner, "`on_error` is a list of steps.")
            _list(work, step, "on_error", 1)
    value = step.get("on_error")
    if isinstance(value, Array) and len(value) == 1 and isinstance(value[0], str):
        draft.put(step, "on_error", value[0], "`on_error` is `fail`, `continue` or a list of steps.")
        value = step["on_error"]
    words: dict[str, str] = {
        **dict.fromkeys(("ignore", "skip", "continue", "resume", "pass", "log", "proceed", "warn"), "continue"),
        **dict.fromkeys(("stop", "abort", "fail", "raise", "halt", "exit", "terminate", "error"), "fail"),
    }
    if isinstance(value, str) and value not in {"fail", "continue"} and (known := words.get(folded(value))) is not None:
        draft.put(step, "on_error", known, f"Writes `{known}`.")
    elif value is True:
        draft.put(step, "on_error", "continue", "The run continues after an error.", ASSUMED)
    elif value is None and "on_error" in step:
        draft.remove(step, "on_error", "An empty handler handles nothing.")


def inputs(work: Work) -> None:
    """Puts the inputs of a tool into `with`: members of the step that its schema declares, and those beside `with:`."""
    for step in steps_of(work):
        uses = step.get("uses")
        tool = work.tools.get(uses) if isinstance(uses, str) else None
        empty = "with" in step and step["with"] in (None, {}, [])
        extra = [key for key in step if key not in STEP_FIELDS or (empty and _is_only_input(tool, key, step))]
        if not extra or uses is None:
            if empty and step["with"] is None:
                work.draft.remove(step, "with", "An empty `with` is left out.")
            continue
        declared = set(tool.inputs) if tool is not None else set()
        moved = [
            key for key in extra if key in declared or (empty and not declared and meaning(key, STEP_WORDS) is None)
        ]
        _into_with(work.draft, step, moved)


def _is_only_input(tool: Any, key: str, step: Object) -> bool:
    """Whether a member of the step that the tool requires cannot be a modifier, such as `name` of a tool."""
    return (
        tool is not None
        and key in tool.required
        and key in {"name", "id"}
        and "with" in step
        and step["with"] is None
        and key != "id"
    )


def _into_with(draft: Draft, step: Object, keys: list[str]) -> None:
    if not keys:
        return
    target = step.get("with")
    if not isinstance(target, Object):
        if target is not None:
            return
        target = Object(place=step.place_of("with" if "with" in step else keys[0]))
        step["with"] = target
    for key in keys:
        if key not in target:
            draft.move(step, key, target, key, f"`{key}` is an input of the tool: moves it into `with`.")


def empty_members(work: Work) -> None:
    """Members without a value are left out."""
    for step in steps_of(work):
        for key in (
            "if",
            "retry",
            "timeout",
            "save_as",
            "needs_approval",
            "name",
            "max_parallel",
            "else",
            "until",
            "every",
        ):
            if key in step and step[key] in (None, "", []) and (step[key] is not None or key not in NULLABLE):
                work.draft.remove(step, key, f"An empty `{key}` is left out.")
        _approval(work.draft, step)


def _approval(draft: Draft, step: Object) -> None:
    """The forms of `needs_approval`: `false`, a question, a list of people, other words."""
    manual = next((key for key in step if folded(key) in {"manual", "manual_gate", "gate"} and step[key] is True), None)
    if manual is not None and "needs_approval" not in step:
        draft.rename(step, manual, "needs_approval", "A manual step needs an approval.", ASSUMED)
    value = step.get("needs_approval")
    if value and not set(step) & {"uses", "do", "branches", "action", "type"} and len(step) <= 3:
        draft.rename(step, "needs_approval", "with", "A step that only asks is a request of an approval.")
        draft.put(step, "uses", "orchestrator.request_approval", "The tool that asks.")
        return
    if isinstance(value, str) and value.lower() in {"no", "false"}:
        draft.remove(step, "needs_approval", "A step needs no approval unless it says so.")
    elif isinstance(value, str):
        yes = value.lower() in {"yes", "true", "required", "manual", "always"}
        draft.put(step, "needs_approval", True if yes else {"message": value}, "An approval has a message.")
    elif isinstance(value, Array):
        draft.put(step, "needs_approval", {"assignees": value}, "The list are those who may answer.", ASSUMED)
    elif isinstance(value, Object):
        _required(draft, step, value)
        for key in list(value):
            target = APPROVAL_WORDS.get(folded(key), "")
            if target in {"message", "assignees", "expires_in"} and target not in value:
                draft.rename(value, key, target, f"Renames `{key}` to `{target}`.")
        if isinstance(value.get("assignees"), str) and "${" not in value["assignees"]:
            draft.put(value, "assignees", Array([value["assignees"]]), "Assignees are a list.")


def _required(draft: Draft, step: Object, value: Object) -> None:
    """`{required: true, …}`: an approval is needed because it is written."""
    key = next((key for key in value if folded(key) in {"required", "enabled", "needed"}), None)
    if key is None or not isinstance(value[key], bool):
        return
    if draft.remove(value, key, "An approval is needed if it is written.") is False:
        draft.remove(step, "needs_approval", "A step needs no approval unless it says so.")
    elif not value:
        draft.put(step, "needs_approval", True, "An approval without details.")


def trivia(work: Work) -> None:
    """Leaves out what only describes a step, or where it runs; and an input that is empty."""
    for step in steps_of(work):
        for key in list(step):
            if folded(key) in NOTIFYING and step[key]:
                continue  # it has an effect: the key is reported
            if key not in STEP_FIELDS and (folded(key) in TRIVIA or step[key] is None):
                work.draft.drop(step, key, f"A step has no `{key}`.")
    for _, arguments, tool in calls(work):
        for key in list(arguments):
            if arguments[key] is None and key in tool.inputs and key not in tool.required:
                kind = tool.inputs[key].get("type") if isinstance(tool.inputs[key], dict) else None
                if isinstance(kind, str) and kind != "null":
                    work.draft.remove(arguments, key, "An empty input is left out.")


def disabled_steps(work: Work) -> None:
    """`enabled: false` of a step: it is not executed."""
    for steps in lists_of_steps(work):
        for step in steps:
            if not isinstance(step, Object):
                continue
            for key in list(step):
                name = folded(key)
                if name in {"enabled", "disabled", "skip", "active"} and isinstance(step[key], bool):
                    off = step[key] is (name in {"disabled", "skip"})
                    work.draft.remove(step, key, "A step has `if`.")
                    if off and "if" not in step:
                        work.draft.put(step, "if", "false", "A step with `if: false` is not executed.")
