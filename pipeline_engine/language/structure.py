"""The forms that hold steps or repeat them: `do`, `branches`, `foreach`, `max_parallel`."""

from collections.abc import Mapping
from typing import Any

from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.language.document import MAX_BRANCHES, MAX_ITEMS, MAX_PARALLEL
from pipeline_engine.language.findings import Findings, Operation, Place
from pipeline_engine.language.values import IDENTIFIER, made_name, read_whole

ACTIONS = ("uses", "do", "branches")
OF_TOOLS = ("with", "retry", "max_retries", "timeout", "timeout_seconds", "needs_approval")


def actions_of(value: Mapping[str, Any]) -> list[str]:
    """The actions that a step has; it should be one."""
    return [key for key in ACTIONS if key in value]


def refuse_several_actions(value: Mapping[str, Any], place: Place, findings: Findings) -> None:
    """Notes each action after the first."""
    first, *others = actions_of(value) or [""]
    for key in others:
        findings.problem(place.key(key), f"a step has one action, and this one has `{first}` already")


def refuse_what_needs_a_tool(value: Mapping[str, Any], place: Place, findings: Findings) -> None:
    """Notes modifiers of a tool's call on a step that calls none."""
    actions = actions_of(value)
    if not actions or "uses" in actions:
        return
    for key in OF_TOOLS:
        if key in value:
            where = place.key(key)
            findings.problem(
                where,
                f"`{key}` belongs to a step with `uses`, such as those inside of `{actions[0]}`",
                fix=("Takes it away.", [where.remove()]),
            )


def read_foreach(value: Any, place: Place, findings: Findings) -> Any:
    """A list, or the text of an expression that gives one; an empty list where it is neither."""
    if isinstance(value, str) and value.strip():
        return value
    if not isinstance(value, list):
        findings.problem(place, "an expression that gives a list, or a list, is expected")
        return []
    if len(value) > MAX_ITEMS:
        findings.problem(place, f"a loop has at most {MAX_ITEMS} elements", ErrorReason.TOO_LARGE)
        return []
    return value


def read_max_parallel(value: Mapping[str, Any], place: Place, findings: Findings) -> int | None:
    """How many iterations may be under way at once."""
    if "max_parallel" not in value:
        return None
    where = place.key("max_parallel")
    if "foreach" not in value:
        fix = None if _loops_by_another_name(value) else ("Takes it away.", [where.remove()])
        findings.problem(where, "`max_parallel` belongs to `foreach`", fix=fix)
        return None
    return read_whole(value["max_parallel"], 1, MAX_PARALLEL, where, findings)


def _loops_by_another_name(value: Mapping[str, Any]) -> bool:
    return any(key.lower() in {"for_each", "each", "loop", "with_items", "iterate"} for key in value)


def wrapped_branches(value: Any, place: Place, findings: Findings) -> list[str]:
    """The names of the branches that can be read."""
    if not isinstance(value, dict):
        findings.problem(place, "an object is expected: a list of steps for each name", fix=_named(value, place))
        return []
    if not value:
        findings.problem(place, "at least one branch is expected", ErrorReason.FIELD_REQUIRED)
    if len(value) > MAX_BRANCHES:
        findings.problem(place, f"a step has at most {MAX_BRANCHES} branches", ErrorReason.TOO_LARGE)
        return []
    return [name for index, name in enumerate(value) if _is_name(name, index, value, place, findings)]


def _is_name(name: str, index: int, value: Mapping[str, Any], place: Place, findings: Findings) -> bool:
    if IDENTIFIER.fullmatch(name) and name != "on_error":
        return True
    made = made_name(name) or f"branch_{index + 1}"
    operations: list[Operation] = [place.key(made).move_from(place.key(name))]
    findings.problem(
        place.key(name),
        "a branch is called by lower-case letters, digits and `_`, and not `on_error`",
        fix=None if made in value else (f"Calls it `{made}`.", operations),
    )
    return False


def _named(value: Any, place: Place) -> tuple[str, list[Operation]] | None:
    """The repair of branches without names: a list of lists, or of steps that are one branch each."""
    if not isinstance(value, list) or not value or not all(isinstance(branch, list | dict) for branch in value):
        return None
    named = {
        f"branch_{index + 1}": branch if isinstance(branch, list) else _steps_of(branch)
        for index, branch in enumerate(value)
    }
    return "Names the branches.", [place.replace(named)]


def _steps_of(branch: Mapping[str, Any]) -> list[Any]:
    steps = branch.get("steps")
    return steps if isinstance(steps, list) else [dict(branch)]
