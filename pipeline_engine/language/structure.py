"""The actions of a step, and the forms that contain steps: `do`, `branches`, `else`."""

from collections.abc import Mapping
from typing import Any

from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import kind_of, quoted
from pipeline_engine.language.document import MAX_BRANCHES
from pipeline_engine.language.findings import Findings, Operation, Place
from pipeline_engine.language.values import IDENTIFIER, suggested_name

ACTIONS = ("uses", "do", "branches")
TIMEOUTS = ("timeout", "timeout_seconds")
OF_TOOLS = ("with", "retry", "max_retries", *TIMEOUTS, "needs_approval")


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
        if key in value and not (key in TIMEOUTS and "until" in value):
            where = place.key(key)
            message = f"`{key}` applies only to a step with `uses`, such as the steps inside `{actions[0]}`"
            findings.problem(where, message)


def refuse_else_without_condition(value: Mapping[str, Any], place: Place, findings: Findings) -> None:
    """Reports an `else` of a step that is never skipped."""
    where = place.key("else")
    if "else" in value and "if" not in value:
        findings.problem(where, "`else` applies only to a step with `if`")
    elif "else" in value and value["if"] in (None, True):
        findings.warn(where, "`else` never runs: the step has no condition that could be false")


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
