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
    """What checking a pipeline needs: definitions (JSON) of the tools it names, every tool's name, the moment."""

    now: datetime
    every_name: list[str]
    definitions: list[str]


async def create(connection: Connection, *, project: str, name: str, owner: str, definition: str) -> ToolRecord | None:
    """Registers a tool and has workers read the project's tools anew; None when the name is taken."""
    row = await SQL.create.row(connection, project=project, name=name, owner=owner, definition=definition)
    if row is None:
        return None
    await SQL.touch_project.run(connection, project=project)
    return ToolRecord(**row)


async def get(connection: Connection, project: str, name: str) -> ToolRecord | None:
    """A tool of the project or of the system."""
    row = await SQL.get.row(connection, project=project, name=name)
    return ToolRecord(**row) if row else None


async def list_page(connection: Connection, *, project: str, selection: Selection, size: int) -> list[ToolRecord]:
    """At most `size` tools of the project and the system that `selection` (over FIELDS) picks."""
    rows = await SQL.list.page(connection, selection, project=project, size=size)
    return [ToolRecord(**row) for row in rows]


async def update(
    connection: Connection, *, project: str, name: str, revision: int, definition: str
) -> ToolRecord | None:
    """Stores a changed definition; None when `revision` is not the stored one any more."""
    row = await SQL.update.row(connection, project=project, name=name, revision=revision, definition=definition)
    if row is None:
        return None
    await SQL.touch_project.run(connection, project=project)
    return ToolRecord(**row)


async def delete(connection: Connection, *, project: str, name: str, revision: int) -> bool:
    """Removes a tool; False when `revision` is not the stored one any more."""
    row = await SQL.delete.row(connection, project=project, name=name, revision=revision)
    if row is None:
        return False
    await SQL.touch_project.run(connection, project=project)
    return True


async def named(connection: Connection, project: str, names: Sequence[str]) -> NamedTools:
    """What checking a pipeline that uses `names` needs."""
    row = await SQL.named.row(connection, project=project, names=list(names))
    return NamedTools(**row)


async def missing(connection: Connection, project: str, names: Sequence[str]) -> list[str]:
    """Those of the names that no tool has."""
    return [row["name"] for row in await SQL.missing.rows(connection, project=project, names=list(names))]
