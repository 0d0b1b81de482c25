"""Which tools a pipeline document uses, where, and whether its owner may."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.rerooting import join
from ordinaut.errors import PermissionDeniedError, Violation
from ordinaut.names import USE_SECRET, granted, secret_names
from ordinaut.v1.error_pb2 import ErrorReason

SYSTEM_TOOLS = "orchestrator."
RUN_PIPELINE = "orchestrator.run_pipeline"
CALL = "tools:call"
# What the system's own tools do: the scope that it takes, and the input that names the resource.
STORE_RIGHTS = {
    "orchestrator.emit": ("events:publish", "topic"),
    "orchestrator.put_state": ("state:write", "namespace"),
    "orchestrator.get_state": ("state:read", "namespace"),
    "orchestrator.run_task": ("tasks:write", "task"),
    RUN_PIPELINE: ("runs:write", ""),
}


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A step's `uses`: where it stands in the document, the tool, and what it gets."""

    path: str
    tool: str
    arguments: Any


def tool_uses(document: Any, path: str = "") -> Iterator[ToolUse]:
    """Every use of a tool in a pipeline document of any form, also in one that is wrong elsewhere."""
    if isinstance(document, list):
        for index, item in enumerate(document):
            yield from tool_uses(item, f"{path}[{index}]")
    elif isinstance(document, dict):
        tool = document.get("uses")
        if isinstance(tool, str):
            yield ToolUse(f"{path}.uses" if path else "uses", tool, document.get("with"))
        for key, item in document.items():
            below = f"{path}.{key}" if path else key
            if key != "with":
                yield from tool_uses(item, below)
            elif tool == RUN_PIPELINE and isinstance(item, dict):
                yield from tool_uses(item.get("pipeline"), f"{below}.pipeline")


def callable_names(scopes: frozenset[str], names: list[str]) -> list[str]:
    """Those of the tools that may be called with these scopes."""
    return [name for name in names if name.startswith(SYSTEM_TOOLS) or granted(scopes, CALL, name)]


def require_rights(scopes: frozenset[str], document: Any, root: str) -> None:
    """Lets a pipeline pass when its owner may call every tool and use every secret in it.

    Raises:
        PermissionDeniedError: MISSING_SCOPE, with a violation at each such step.
    """
    missing = [(use, scope) for use in tool_uses(document) for scope in _missing_scopes(scopes, use)]
    if missing:
        violations = [
            Violation(join(root, use.path), f"the owner lacks the scope {scope}", ErrorReason.MISSING_SCOPE)
            for use, scope in missing
        ]
        scope = missing[0][1]
        raise PermissionDeniedError(
            ErrorReason.MISSING_SCOPE, f"the task's owner lacks the scope {scope}", {"scope": scope}, violations
        )


def _missing_scopes(scopes: frozenset[str], use: ToolUse) -> Iterator[str]:
    if (scope := _missing_scope(scopes, use)) is not None:
        yield scope
    for name in secret_names(orjson.dumps(use.arguments).decode()):
        if not granted(scopes, USE_SECRET, name):
            yield f"{USE_SECRET}:{name}"


def _missing_scope(scopes: frozenset[str], use: ToolUse) -> str | None:
    if not use.tool.startswith(SYSTEM_TOOLS):
        return None if granted(scopes, CALL, use.tool) else f"{CALL}:{use.tool}"
    if use.tool not in STORE_RIGHTS:
        return None
    needed, argument = STORE_RIGHTS[use.tool]
    named = use.arguments.get(argument) if isinstance(use.arguments, dict) else None
    if not isinstance(named, str) or "${" in named:  # known only at run, and checked there
        return None if granted(scopes, needed) else needed
    resource = named.removeprefix("tasks/") if argument == "task" else named
    return None if granted(scopes, needed, resource) else f"{needed}:{resource}"
