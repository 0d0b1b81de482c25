"""Agents that a pipeline asks by their names: whether there are such agents, and whether they may answer.

Both may be made true later: this is no problem but advice, and the more of it, the more the caller may see of agents.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from gateway.rerooting import join, pointer_of
from ordinaut.errors import Repair, Violation
from ordinaut.names import granted
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.v1.error_pb2 import ErrorReason

ASK = "orchestrator.request_approval"
ANSWER = "approvals:write"
READ_AGENTS = "agents:read"
CANDIDATES = 1000


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
        *(_missing(path, name, near) for path, name in lost),
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


def _missing(path: str, name: str, candidates: list[str]) -> Violation:
    message = f"there is no agents/{name} yet"
    near = get_close_matches(name, candidates, 1)
    if not near:
        return Violation(path, message, ErrorReason.RESOURCE_NOT_FOUND)
    operation = {"op": "replace", "path": pointer_of(path), "value": near[0]}
    repair = Repair(f"Asks agents/{near[0]}.", [operation])
    return Violation(path, f"{message}; did you mean agents/{near[0]}?", ErrorReason.RESOURCE_NOT_FOUND, repair)
