"""A cache of definitions, by version of the task and revision of the project."""

from collections import OrderedDict
from uuid import UUID

from ordinaut.store.queue import definition
from ordinaut.store.queue.definition import RunDefinition
from ordinaut.store.queue.due_work_claim import ClaimedRun
from ordinaut.store.sql import Connection

MAX_DEFINITIONS = 1000


class Definitions:
    """The definitions loaded last."""

    def __init__(self) -> None:
        self._cached: OrderedDict[tuple[UUID, int, int], RunDefinition] = OrderedDict()

    async def get(self, connection: Connection, run: ClaimedRun) -> RunDefinition:
        """The definition of a claimed run, with its tools and its owner's rights at this claim."""
        key = (run.task, run.task_version, run.project_revision)
        cached = self._cached.get(key)
        if cached is None:
            cached = self._cached[key] = await definition.load(
                connection, project=run.project, owner=run.owner, task=run.task, version=run.task_version
            )
            if len(self._cached) > MAX_DEFINITIONS:
                self._cached.popitem(last=False)
        return cached
