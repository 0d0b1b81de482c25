"""The forms that contain or repeat steps: `do`, `branches`, `foreach`, `max_parallel`."""

from collections.abc import Mapping
from typing import Any

from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import kind_of, quoted
from pipeline_engine.language.document import MAX_BRANCHES, MAX_ITEMS, MAX_PARALLEL
from pipeline_engine.language.findings import Findings, Operation, Place
from pipeline_engine.language.values import IDENTIFIER, read_integer, suggested_name

ACTIONS = ("uses", "do", "branches")
OF_TOOLS = ("with", "retry", "max_retries", "timeout", "timeout_seconds", "needs_approval")


def actions_of(value: Mapping[str, Any]) -> list[str]:
    """Returns the actions of a step; a valid step has exactly one."""
    return [key for key in ACTIONS if key in value]


def refuse_several_actions(value: Mapping[str, Any], place: Place, findings: Findings) -> None:
    """Reports each action after the first."""
    first, *surplus = actions_of(value) or [""]
    for key in surplus:
        findings.problem(place.key(key), f"a step must have one action, but this one also has `{first}`")


def refuse_what_needs_a_tool(value: Mapping[str, Any], place: Place, findings: Findings) -> None:
    """Reports modifiers of a tool call on a step that does not call a tool."""
    actions = actions_of(value)
    if not actions or "uses" in actions:
        return
    for key in OF_TOOLS:
        if key in value:
            where = place.key(key)
            findings.problem(
                where,
                f"`{key}` applies only to a step with `uses`, such as the steps inside `{actions[0]}`",
                fix=("Removes it.", [where.remove()]),
            )


def read_foreach(value: Any, place: Place, findings: Findings) -> Any:
    """Reads a list, or the text of an expression that evaluates to one; an invalid value is read as an empty list."""
    if isinstance(value, str) and value.strip():
        return value
    if not isinstance(value, list):
        findings.problem(place, f"`foreach` must be a list or an expression, not {kind_of(value)}")
        return []
    if len(value) > MAX_ITEMS:
        message = f"`foreach` must have at most {MAX_ITEMS} elements (got {len(value)})"
        findings.problem(place, message, ErrorReason.TOO_LARGE)
        return []
    return value


def read_max_parallel(value: Mapping[str, Any], place: Place, findings: Findings) -> int | None:
    """Reads the maximum number of concurrent iterations."""
    if "max_parallel" not in value:
        return None
    where = place.key("max_parallel")
    if "foreach" not in value:
        fix = None if _has_foreach_alias(value) else ("Removes it.", [where.remove()])
        findings.problem(where, "`max_parallel` applies only to a step with `foreach`", fix=fix)
        return None
    return read_integer(value["max_parallel"], 1, MAX_PARALLEL, where, findings)


def _has_foreach_alias(value: Mapping[str, Any]) -> bool:
    return any(key.lower() in {"for_each", "each", "loop", "with_items", "iterate"} for key in value)


def read_branch_names(value: Any, place: Place, findings: Findings) -> list[str]:
    """Returns the names of the readable branches."""
    if not isinstance(value, dict):
        message = f"`branches` must be an object of named lists of steps, not {kind_of(value)}"
        findings.problem(place, message, fix=_naming_fix(value, place))
        return []
    if not value:
        findings.problem(place, "`branches` must have at least one branch", ErrorReason.FIELD_REQUIRED)
    if len(value) > MAX_BRANCHES:
        message = f"a step must have at most {MAX_BRANCHES} branches (got {len(value)})"
        findings.problem(place, message, ErrorReason.TOO_LARGE)
        return []
    return [name for index, name in enumerate(value) if _is_name(name, index, value, place, findings)]


def _is_name(name: str, index: int, value: Mapping[str, Any], place: Place, findings: Findings) -> bool:
    if IDENTIFIER.fullmatch(name) and name != "on_error":
        return True
    suggestion = suggested_name(name) or f"branch_{index + 1}"
    operations: list[Operation] = [place.key(suggestion).move_from(place.key(name))]
    findings.problem(
        place.key(name),
        f"a branch name must match {IDENTIFIER.pattern} and must not be `on_error` (got {quoted(name)})",
        fix=None if suggestion in value else (f"Renames it to `{suggestion}`.", operations),
    )
    return False


def _naming_fix(value: Any, place: Place) -> tuple[str, list[Operation]] | None:
    """Repairs unnamed branches: a list of lists, or of steps of which each is a branch."""
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
