"""A cache of definitions, by version of the task, revision of the project and limit of the run."""

from collections import OrderedDict
from uuid import UUID

from ordinaut.store.queue import definition
from ordinaut.store.queue.definition import RunDefinition
from ordinaut.store.queue.due_work_claim import ClaimedRun
from ordinaut.store.runs import run_limit
from ordinaut.store.sql import Connection

MAX_DEFINITIONS = 1000


class Definitions:
    """The definitions loaded last."""

    def __init__(self) -> None:
        self._cached: OrderedDict[tuple[UUID, int, int, frozenset[str] | None], RunDefinition] = OrderedDict()

    async def get(self, connection: Connection, run: ClaimedRun) -> RunDefinition:
        """The definition of a claimed run, with its tools and its owner's rights at this claim."""
        unlimited = await self._load(connection, run, None)
        if not unlimited.limited or (limit := await run_limit.of_run(connection, run.id)) is None:
            return unlimited
        return await self._load(connection, run, limit)

    async def _load(self, connection: Connection, run: ClaimedRun, limit: frozenset[str] | None) -> RunDefinition:
        key = (run.task, run.task_version, run.project_revision, limit)
        cached = self._cached.get(key)
        if cached is None:
            cached = self._cached[key] = await definition.load(
                connection,
                project=run.project,
                owner=run.owner,
                task=run.task,
                version=run.task_version,
                limit=limit,
            )
            if len(self._cached) > MAX_DEFINITIONS:
                self._cached.popitem(last=False)
        return cached
