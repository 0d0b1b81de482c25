"""Definitions as the engine gets them, kept by version of the task and revision of the project."""

from collections import OrderedDict
from typing import Any

from ordinaut.store import definition
from ordinaut.store.definition import Loaded
from ordinaut.store.sql import Connection

KEPT = 1000


class Definitions:
    """The last thousand definitions that claims needed."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], Loaded] = OrderedDict()

    async def get(self, connection: Connection, row: Any) -> Loaded:
        """The definition of a claimed row, as its tools and its owner's rights are at this claim."""
        key = (row["task"], row["task_version"], row["project_revision"])
        loaded = self._kept.get(key)
        if loaded is None:
            loaded = self._kept[key] = await definition.load(
                connection,
                project=row["project"],
                owner=row["owner"],
                task=row["task"],
                version=row["task_version"],
            )
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return loaded
