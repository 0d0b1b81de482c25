"""Quotas of projects: the values that differ from the defaults, and what is used."""

from collections.abc import Mapping
from dataclasses import dataclass

from ordinaut.quotas import Limit
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class Counts:
    """What an agent and its project have: tasks, tools, agents and valid tokens."""

    agent: Mapping[str, int]
    project: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LiveRuns:
    """The live runs of one owner (`agents/…`); `inline` are those without a task."""

    project: str
    owner: str
    runs: int
    inline: int


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """The size of a project's state and of its pipelines, as they are stored."""

    state: int
    pipelines: int


async def overrides(connection: Connection, project: str) -> dict[str, Limit]:
    """Returns the quotas that were set for a project; None in a Limit is the default."""
    rows = await SQL.overrides.rows(connection, project=project)
    return {row["quota"]: Limit(row["agent_limit"], row["project_limit"]) for row in rows}


async def put(connection: Connection, *, project: str, quota: str, limit: Limit) -> bool:
    """Sets a quota of a project; None in `limit` is the default. Returns False if there is no such project."""
    row = await SQL.put.row(
        connection, project=project, quota=quota, agent_limit=limit.agent, project_limit=limit.project
    )
    return row is not None


async def lock(connection: Connection, project: str) -> None:
    """Waits until no other transaction counts what the project has."""
    await SQL.lock.value(connection, project=project)


async def counts(connection: Connection, *, project: str, agent: str) -> Counts:
    """Returns what a project has, and what its agent `agent` has."""
    row = await SQL.counts.row(connection, project=project, agent=agent)
    return Counts(
        {"tasks": row["agent_tasks"], "tools": row["agent_tools"], "tokens": row["agent_tokens"]},
        {"tasks": row["tasks"], "tools": row["tools"], "agents": row["agents"]},
    )


async def count(connection: Connection, quota: str, *, project: str, agent: str) -> tuple[int, int]:
    """Returns how many of one kind (tasks, tools, agents, tokens) the agent and the project have."""
    query = {"tasks": SQL.tasks, "tools": SQL.tools, "agents": SQL.agents, "tokens": SQL.tokens}[quota]
    row = await query.row(connection, project=project, agent=agent)
    return row["of_agent"], row["of_project"]


async def live_runs(connection: Connection) -> list[LiveRuns]:
    """Returns the live runs of each owner of each project."""
    return [LiveRuns(**row) for row in await SQL.live_runs.rows(connection)]


async def mark_over(connection: Connection, live_runs: Limit) -> None:
    """Marks who has as many live runs as its quota permits; `live_runs` is the default."""
    await SQL.mark_over.run(connection, agent_limit=live_runs.agent, project_limit=live_runs.project)


async def stored_bytes(connection: Connection, project: str) -> StoredBytes:
    """Returns the bytes that a project has stored."""
    return StoredBytes(**await SQL.stored_bytes.row(connection, project=project))
