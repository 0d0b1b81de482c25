"""The tools, tasks, agents and secrets that a pipeline refers to: whether they exist and the owner may use them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import orjson
from google.protobuf.message import Message

from gateway.api.json_values import to_python
from gateway.api.violations import Problems, join
from gateway.authentication.caller import current_caller, missing_scopes
from ordinaut.documents.misspelled import misspelled
from ordinaut.documents.pointers import pointer_of
from ordinaut.errors import PermissionDeniedError, Repair, Violation
from ordinaut.names import USE_SECRET, WITHOUT_TASK, granted, secret_names
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.store.tasks import task
from ordinaut.v1.error_pb2 import ErrorReason

SYSTEM_TOOLS = "orchestrator."
RUN_PIPELINE = "orchestrator.run_pipeline"
CALL = "tools:call"
# The scope that each built-in tool requires, and its input with the name of the resource.
READ_EVENTS = "events:read"
STORE_RIGHTS = {
    "orchestrator.emit": ("events:publish", "topic"),
    "orchestrator.put_state": ("state:write", "namespace"),
    "orchestrator.get_state": ("state:read", "namespace"),
    "orchestrator.run_task": ("tasks:run", "task"),
    "orchestrator.wait_event": (READ_EVENTS, "topic"),
    RUN_PIPELINE: ("runs:write", ""),
}
RUN_TASK = "orchestrator.run_task"
START_TASK = "tasks:run"
ASK = "orchestrator.request_approval"
ANSWER = "approvals:write"
READ_AGENTS = "agents:read"
CANDIDATES = 1000  # names that an unknown one is compared with


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A step's `uses`: its path in the document, the tool, and the tool's input."""

    path: str
    tool: str
    arguments: Any


def tool_uses(document: Any, path: str = "") -> Iterator[ToolUse]:
    """Yields every use of a tool in a pipeline document, which may be invalid."""
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
    """Returns the names of the tools that may be called with these scopes."""
    return [name for name in names if name.startswith(SYSTEM_TOOLS) or granted(scopes, CALL, name)]


def require_rights(
    scopes: frozenset[str],
    document: Any,
    root: str,
    *,
    owner: str,
    problems: Problems,
    topics: Sequence[tuple[str, str]] = (),
) -> None:
    """Requires that the owner of a pipeline may call every tool and use every secret in it.

    `topics` are paths and topic patterns of event triggers, which the owner must be allowed to read.

    If there are other problems, the missing scopes are added to them, so that one error contains both.

    Raises:
        PermissionDeniedError: MISSING_SCOPE, with a violation at each such step.
        InvalidArgumentError: there are other problems.
    """
    missing = [*missing_rights(scopes, document, root), *_missing_topics(scopes, topics)]
    if problems.violations:
        problems.extend(violation for _, violation in missing)
        problems.check()
    if missing:
        raise missing_scopes([scope for scope, _ in missing], owner, [violation for _, violation in missing])


def missing_rights(
    scopes: frozenset[str], document: Any, root: str, *, holder: str = "owner"
) -> Iterator[tuple[str, Violation]]:
    """Yields each scope that a pipeline needs and `scopes` lack, with a violation at the step that needs it."""
    for use in tool_uses(document):
        for scope in _missing_scopes(scopes, use):
            text = f"the {holder} lacks the scope {scope}"
            yield scope, Violation(join(root, use.path), text, ErrorReason.MISSING_SCOPE)


def _missing_topics(scopes: frozenset[str], topics: Sequence[tuple[str, str]]) -> Iterator[tuple[str, Violation]]:
    """Yields the scope of each pattern that no glob covers: `*` and `>` match more than one topic."""
    for path, topic in topics:
        if not granted(scopes, READ_EVENTS, topic):
            scope = f"{READ_EVENTS}:{topic.replace('>', '*')}"
            yield scope, Violation(path, f"the owner lacks the scope {scope}", ErrorReason.MISSING_SCOPE)


def with_pipeline_rights(failure: BaseException, request: Any) -> BaseException:
    """Adds the scopes that the pipelines of a request need to the error for the missing scope of its method.

    Without them a caller would learn about one missing scope with each attempt.
    """
    if not isinstance(failure, PermissionDeniedError) or "scopes" not in failure.facts or failure.violations:
        return failure
    caller = current_caller()
    missing = [pair for root, pipeline in _pipelines(request) for pair in missing_rights(caller.scopes, pipeline, root)]
    scopes = [*str(failure.facts["scopes"]).split(","), *(scope for scope, _ in missing)]
    return missing_scopes(scopes, caller.name, [violation for _, violation in missing])


def _pipelines(request: Any, root: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the pipelines of a request with their paths."""
    fields = request.DESCRIPTOR.fields_by_name if isinstance(request, Message) else {}
    if "pipeline" in fields and fields["pipeline"].message_type is not None:
        yield join(root, "pipeline"), to_python(getattr(request, "pipeline"))  # noqa: B009 - not in every message
    if "task" in fields and fields["task"].message_type is not None:
        yield from _pipelines(getattr(request, "task"), join(root, "task"))  # noqa: B009
    if "requests" in fields:
        for index, single in enumerate(getattr(request, "requests")):  # noqa: B009
            yield from _pipelines(single, f"{root}requests[{index}]")


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
    scope, argument = STORE_RIGHTS[use.tool]
    if not argument:
        return None if granted(scopes, scope, WITHOUT_TASK) else scope
    name = use.arguments.get(argument) if isinstance(use.arguments, dict) else None
    if not isinstance(name, str) or "${" in name:  # evaluated in the run, which checks the scope again
        return None if granted(scopes, scope) else scope
    resource = name.removeprefix("tasks/") if argument == "task" else name
    return None if granted(scopes, scope, resource) else f"{scope}:{resource.replace('>', '*')}"


async def task_warnings(
    database: Database, document: Any, *, project: str, owner: str, rights: frozenset[str], itself: str
) -> list[Violation]:
    """Returns a violation for each step that runs a task which does not exist or the owner cannot see.

    Paths are relative to the document. `itself` is the name of the task that contains the document.
    """
    links = [(path, name) for path, name in _links(document) if name != itself]
    if not links:
        return []
    viewer = None if "admin" in rights else owner
    async with database.connection() as connection:
        existing = await task.known_names(connection, project=project, owner=viewer, names=[name for _, name in links])
        missing = [(path, name) for path, name in links if name not in existing]
        candidates = (
            await task.some_names(connection, project=project, owner=viewer, size=CANDIDATES) if missing else []
        )
    candidates = [name for name in candidates if granted(rights, START_TASK, name)]
    return [_unknown_task(path, name, candidates) for path, name in missing]


def _links(document: Any) -> Iterator[tuple[str, str]]:
    """Yields the paths and names of tasks that are literals, not templates."""
    for use in tool_uses(document):
        name = use.arguments.get("task") if isinstance(use.arguments, dict) else None
        if use.tool == RUN_TASK and isinstance(name, str) and "${" not in name:
            yield f"{use.path.removesuffix('uses')}with.task", name.removeprefix("tasks/")


def _unknown_task(path: str, name: str, candidates: list[str]) -> Violation:
    return _unknown("tasks", path, name, candidates, lambda match: (f"tasks/{match}", f"Runs tasks/{match}."))


async def assignee_warnings(
    database: Database, document: Any, *, project: str, rights: frozenset[str]
) -> list[Violation]:
    """Returns a violation for each assignee that does not exist or cannot answer, with paths into the document.

    Nothing is said about agents that the owner may not read: a document could ask which of them exist.
    """
    assignees = [(path, name) for path, name in _assignees(document) if granted(rights, READ_AGENTS, name)]
    if not assignees:
        return []
    async with database.connection() as connection:
        scopes = await identity.scopes_of(connection, project=project, names=[name for _, name in assignees])
        missing = [(path, name) for path, name in assignees if name not in scopes]
        names = await identity.some_names(connection, project=project, size=CANDIDATES) if missing else []
    candidates = [name for name in names if granted(rights, READ_AGENTS, name)]
    unable = [(path, name) for path, name in assignees if name in scopes and not granted(scopes[name], ANSWER)]
    return [
        *(_unknown_agent(path, name, candidates) for path, name in missing),
        *(Violation(path, f"agents/{name} cannot answer: it lacks the scope {ANSWER}") for path, name in unable),
    ]


def _assignees(document: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields the paths and names of assignees that are literals, not templates."""
    if isinstance(document, list):
        for index, item in enumerate(document):
            yield from _assignees(item, f"{path}[{index}]")
    elif isinstance(document, dict):
        for key in ("needs_approval", *(["with"] if document.get("uses") == ASK else [])):
            if isinstance(document.get(key), dict):
                yield from _literal_names(document[key], join(join(path, key), "assignees"))
        for key, item in document.items():
            if key not in {"with", "needs_approval"}:
                yield from _assignees(item, join(path, key))


def _literal_names(approval: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    names = approval.get("assignees")
    for index, name in enumerate(names if isinstance(names, list) else ()):
        if isinstance(name, str) and "${" not in name:
            yield f"{path}[{index}]", name.removeprefix("agents/")


def _unknown_agent(path: str, name: str, candidates: list[str]) -> Violation:
    return _unknown("agents", path, name, candidates, lambda match: (match, f"Asks agents/{match}."))


def _unknown(
    collection: str, path: str, name: str, candidates: list[str], fix: Callable[[str], tuple[str, str]]
) -> Violation:
    """The violation, with a fix of a misspelled name; `fix` returns the new value and the explanation."""
    message = f"{collection}/{name[:128]} does not exist yet"
    matches = get_close_matches(name, candidates, 1)
    if not matches:
        return Violation(path, message, ErrorReason.RESOURCE_NOT_FOUND)
    message = f"{message}; did you mean {collection}/{matches[0]}?"
    intended = misspelled(name, candidates)
    if intended is None:
        return Violation(path, message, ErrorReason.RESOURCE_NOT_FOUND)
    value, explanation = fix(intended)
    repair = Repair(explanation, [{"op": "replace", "path": pointer_of(path), "value": value}])
    return Violation(path, message, ErrorReason.RESOURCE_NOT_FOUND, repair)
