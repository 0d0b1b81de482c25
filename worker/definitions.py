"""Definitions as the engine gets them, kept by version of the task and revision of the project."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition
from ordinaut.names import granted
from ordinaut.store import definition as store
from ordinaut.store.sql import Connection

KEPT = 1000


@dataclass(frozen=True, slots=True)
class Loaded:
    """A definition, and what its owner may do."""

    message: Definition
    scopes: frozenset[str]


class Definitions:
    """The last thousand definitions that claims needed."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], Loaded] = OrderedDict()

    async def get(self, connection: Connection, row: Any) -> Loaded:
        """The definition of a claimed row, as its tools and its owner's rights are at this claim."""
        key = (row["task"], row["task_version"], row["project_revision"])
        loaded = self._kept.get(key)
        if loaded is None:
            loaded = _built(
                await store.load(
                    connection,
                    project=row["project"],
                    owner=row["owner"],
                    task=row["task"],
                    version=row["task_version"],
                )
            )
            self._kept[key] = loaded
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return loaded


def _built(row: Any) -> Loaded:
    scopes = frozenset(row["scopes"])
    denied = [name for name in row["tool_names"] if not _may_call(scopes, name)]
    message = Definition(
        pipeline=row["pipeline"].encode(),
        tools=[tool.encode() for tool in row["tools"]],
        denied_tools=denied,
        retry=(row["retry"] or "").encode(),
    )
    message.hash = hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()
    return Loaded(message, scopes)


def _may_call(scopes: frozenset[str], tool: str) -> bool:
    return tool.startswith("orchestrator.") or granted(scopes, "tools:call", tool)
