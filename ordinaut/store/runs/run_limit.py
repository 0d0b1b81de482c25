"""Limits of runs of tasks with `rights: LIMITED_BY_STARTER`: the scopes of the token or the run that started them."""

from collections.abc import Collection
from uuid import UUID

from ordinaut.names import intersection
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


async def limited_pipeline(connection: Connection, task: UUID, version: int) -> str | None:
    """Returns the pipeline (JSON) of a version if what starts its runs limits them; None otherwise."""
    pipeline: str | None = await SQL.limited_pipeline.value(connection, task=task, version=version)
    return pipeline


async def of_run(connection: Connection, run: UUID) -> frozenset[str] | None:
    """Returns the limit of a run; None for a run that a schedule or an event started."""
    scopes = await SQL.of_run.value(connection, run=run)
    return None if scopes is None else frozenset(scopes)


async def add(connection: Connection, *, run: UUID, scopes: Collection[str], retry_of: UUID | None = None) -> None:
    """Limits a new run to `scopes`, and a retry also to the limit of the run that it repeats."""
    limit = frozenset(scopes)
    earlier = None if retry_of is None else await of_run(connection, retry_of)
    if earlier is not None:
        limit = intersection(limit, earlier)
    await SQL.add.run(connection, run=run, scopes=sorted(limit))
