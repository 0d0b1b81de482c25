"""Registered tools. A definition is `ordinaut.v1.Tool` as proto3 JSON, its `name` without `tools/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
EFFECTS = frozenset({"READ", "IDEMPOTENT", "UNSAFE"})
FIELDS = {
    "name": Field("'tools/' || name", sort="name"),
    "owner": Field("owner"),
    "description": Field("coalesce(definition ->> 'description', '')"),
    "effect": Field("coalesce(definition ->> 'effect', 'IDEMPOTENT')", choices=EFFECTS),
    "create_time": Field("create_time", Kind.TIME, sort="create_time"),
    "update_time": Field("update_time", Kind.TIME, sort="update_time"),
}


@dataclass(frozen=True, slots=True)
class ToolRecord:
    """A tool as it is stored; `definition` is JSON, `owner` is empty for tools of the system."""

    project: str
    name: str
    owner: str
    definition: str
    revision: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class NamedTools:
    """The data to validate a pipeline with: definitions (JSON) of the tools it names, all tool names, and the time."""

    now: datetime
    every_name: list[str]
    definitions: list[str]


@dataclass(frozen=True, slots=True)
class ToolUser:
    """A task or a tool that uses a tool: its collection, `tasks` or `tools`, its name, and the owner of a task."""

    collection: str
    name: str
    owner: str


async def create(connection: Connection, *, project: str, name: str, owner: str, definition: str) -> ToolRecord | None:
    """Registers a tool and makes workers reload the project's tools; None when the name is taken."""
    row = await SQL.create.row(connection, project=project, name=name, owner=owner, definition=definition)
    if row is None:
        return None
    await SQL.touch_project.run(connection, project=project)
    return ToolRecord(**row)


async def get(connection: Connection, project: str, name: str) -> ToolRecord | None:
    """Returns a tool of the project or of the system."""
    row = await SQL.get.row(connection, project=project, name=name)
    return ToolRecord(**row) if row else None


async def list_page(connection: Connection, *, project: str, selection: Selection, size: int) -> list[ToolRecord]:
    """Returns at most `size` tools of the project and the system that match `selection` (over FIELDS)."""
    rows = await SQL.list.page(connection, selection, project=project, size=size)
    return [ToolRecord(**row) for row in rows]


async def update(
    connection: Connection, *, project: str, name: str, revision: int, definition: str
) -> ToolRecord | None:
    """Stores a changed definition; None unless `revision` is the current one."""
    row = await SQL.update.row(connection, project=project, name=name, revision=revision, definition=definition)
    if row is None:
        return None
    await SQL.touch_project.run(connection, project=project)
    return ToolRecord(**row)


async def users(connection: Connection, *, project: str, name: str) -> list[ToolUser]:
    """Returns the tasks whose current version calls a tool, and the tools whose lookup it is."""
    return [ToolUser(**row) for row in await SQL.users.rows(connection, project=project, name=name)]


async def delete(connection: Connection, *, project: str, name: str, revision: int) -> bool:
    """Deletes a tool; False unless `revision` is the current one."""
    row = await SQL.delete.row(connection, project=project, name=name, revision=revision)
    if row is None:
        return False
    await SQL.touch_project.run(connection, project=project)
    return True


async def named(connection: Connection, project: str, names: Sequence[str]) -> NamedTools:
    """Returns the data to validate a pipeline with that uses the tools `names`."""
    row = await SQL.named.row(connection, project=project, names=list(names))
    return NamedTools(**row)


async def missing(connection: Connection, project: str, names: Sequence[str]) -> list[str]:
    """Returns those of the names that belong to no tool."""
    return [row["name"] for row in await SQL.missing.rows(connection, project=project, names=list(names))]
