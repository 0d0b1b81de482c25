"""Tasks that a pipeline's steps run by their names: whether there are such tasks.

One that is missing may be made later, such as by the next request of a batch: this is no problem but advice.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from gateway.rerooting import pointer_of
from gateway.tool_use import tool_uses
from ordinaut.errors import Repair, Violation
from ordinaut.store import task
from ordinaut.store.database import Database
from ordinaut.v1.error_pb2 import ErrorReason

RUN_TASK = "orchestrator.run_task"
CANDIDATES = 1000


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
    return [_missing(path, name, near) for path, name in lost]


def _links(document: Any) -> Iterator[tuple[str, str]]:
    """Where tasks are named, and their names, as far as they are written and not computed."""
    for use in tool_uses(document):
        named = use.arguments.get("task") if isinstance(use.arguments, dict) else None
        if use.tool == RUN_TASK and isinstance(named, str) and "${" not in named:
            yield f"{use.path.removesuffix('uses')}with.task", named.removeprefix("tasks/")


def _missing(path: str, name: str, candidates: list[str]) -> Violation:
    message = f"there is no tasks/{name[:128]} yet"
    near = get_close_matches(name, candidates, 1)
    if not near:
        return Violation(path, message, ErrorReason.RESOURCE_NOT_FOUND)
    operation = {"op": "replace", "path": pointer_of(path), "value": f"tasks/{near[0]}"}
    repair = Repair(f"Runs tasks/{near[0]}.", [operation])
    return Violation(path, f"{message}; did you mean tasks/{near[0]}?", ErrorReason.RESOURCE_NOT_FOUND, repair)
