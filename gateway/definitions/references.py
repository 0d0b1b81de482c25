"""What a pipeline document refers to: tools, tasks and agents. They must exist, and the owner may use them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson

from gateway.api.violations import join, pointer_of
from ordinaut.errors import PermissionDeniedError, Repair, Violation
from ordinaut.names import USE_SECRET, granted, secret_names
from ordinaut.store import identity, task
from ordinaut.store.database import Database
from ordinaut.v1.error_pb2 import ErrorReason

SYSTEM_TOOLS = "orchestrator."
RUN_PIPELINE = "orchestrator.run_pipeline"
CALL = "tools:call"
# What the system's own tools do: the scope that it takes, and the input that names the resource.
STORE_RIGHTS = {
    "orchestrator.emit": ("events:publish", "topic"),
    "orchestrator.put_state": ("state:write", "namespace"),
    "orchestrator.get_state": ("state:read", "namespace"),
    "orchestrator.run_task": ("tasks:run", "task"),
    RUN_PIPELINE: ("runs:write", ""),
}
RUN_TASK = "orchestrator.run_task"
ASK = "orchestrator.request_approval"
ANSWER = "approvals:write"
READ_AGENTS = "agents:read"
CANDIDATES = 1000  # names that a misspelt one is compared with


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


async def missing_tasks(
    database: Database, document: Any, *, project: str, owner: str, rights: frozenset[str], itself: str
) -> list[Violation]:
    """A violation for each step that runs a task which its owner cannot see, with paths into the document.

    `itself` is the name of the document's own task.
    """
    links = [(path, name) for path, name in _links(document) if name != itself]
    if not links:
        return []
    viewer = None if "admin" in rights else owner
    async with database.connection() as connection:
        known = await task.known_names(connection, project=project, owner=viewer, names=[name for _, name in links])
        lost = [(path, name) for path, name in links if name not in known]
        near = await task.some_names(connection, project=project, owner=viewer, size=CANDIDATES) if lost else []
    return [_unknown_task(path, name, near) for path, name in lost]


def _links(document: Any) -> Iterator[tuple[str, str]]:
    """Where tasks are named, and their names, as far as they are written and not computed."""
    for use in tool_uses(document):
        named = use.arguments.get("task") if isinstance(use.arguments, dict) else None
        if use.tool == RUN_TASK and isinstance(named, str) and "${" not in named:
            yield f"{use.path.removesuffix('uses')}with.task", named.removeprefix("tasks/")


def _unknown_task(path: str, name: str, candidates: list[str]) -> Violation:
    message = f"there is no tasks/{name[:128]} yet"
    near = get_close_matches(name, candidates, 1)
    if not near:
        return Violation(path, message, ErrorReason.RESOURCE_NOT_FOUND)
    operation = {"op": "replace", "path": pointer_of(path), "value": f"tasks/{near[0]}"}
    repair = Repair(f"Runs tasks/{near[0]}.", [operation])
    return Violation(path, f"{message}; did you mean tasks/{near[0]}?", ErrorReason.RESOURCE_NOT_FOUND, repair)


async def doubtful_assignees(
    database: Database, document: Any, *, project: str, rights: frozenset[str]
) -> list[Violation]:
    """A violation for each agent that is asked and cannot answer, with paths into the document."""
    asked = list(_asked(document))
    if not asked:
        return []
    async with database.connection() as connection:
        known = await identity.scopes_of(connection, project=project, names=[name for _, name in asked])
        lost = [(path, name) for path, name in asked if name not in known]
        sees = granted(rights, READ_AGENTS)
        near = await identity.some_names(connection, project=project, size=CANDIDATES) if lost and sees else []
    mute = [(path, name) for path, name in asked if name in known and sees and not granted(known[name], ANSWER)]
    return [
        *(_unknown_agent(path, name, near) for path, name in lost),
        *(Violation(path, f"agents/{name} has no scope {ANSWER}: it cannot answer") for path, name in mute),
    ]


def _asked(document: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Where agents are named, and their names, as far as they are written and not computed."""
    if isinstance(document, list):
        for index, item in enumerate(document):
            yield from _asked(item, f"{path}[{index}]")
    elif isinstance(document, dict):
        for key in ("needs_approval", *(["with"] if document.get("uses") == ASK else [])):
            if isinstance(document.get(key), dict):
                yield from _named(document[key], join(join(path, key), "assignees"))
        for key, item in document.items():
            if key not in {"with", "needs_approval"}:
                yield from _asked(item, join(path, key))


def _named(question: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    names = question.get("assignees")
    for index, name in enumerate(names if isinstance(names, list) else ()):
        if isinstance(name, str) and "${" not in name:
            yield f"{path}[{index}]", name.removeprefix("agents/")


def _unknown_agent(path: str, name: str, candidates: list[str]) -> Violation:
    message = f"there is no agents/{name} yet"
    near = get_close_matches(name, candidates, 1)
    if not near:
        return Violation(path, message, ErrorReason.RESOURCE_NOT_FOUND)
    operation = {"op": "replace", "path": pointer_of(path), "value": near[0]}
    repair = Repair(f"Asks agents/{near[0]}.", [operation])
    return Violation(path, f"{message}; did you mean agents/{near[0]}?", ErrorReason.RESOURCE_NOT_FOUND, repair)
