"""State entries: JSON values by namespace and key, each with a revision that is never reused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ordinaut.store.sql import Connection, Queries, Record

SQL = Queries(__file__)
Name = tuple[str, str, str]  # project, namespace, key


@dataclass(frozen=True, slots=True)
class StateRecord:
    """An entry as it is stored; `value` is JSON."""

    namespace: str
    key: str
    value: str
    revision: int
    update_time: datetime


@dataclass(frozen=True, slots=True)
class StateValue:
    """Value (JSON) and revision of an entry."""

    value: str
    revision: int


async def get(connection: Connection, *, project: str, namespace: str, key: str) -> StateRecord | None:
    """Returns an entry or None."""
    row = await SQL.get.row(connection, project=project, namespace=namespace, key=key)
    return StateRecord(**row) if row else None


async def get_many(connection: Connection, names: Sequence[Name]) -> list[StateValue | None]:
    """Returns the value of each name, in order; None for names without an entry."""
    projects, namespaces, keys = (list(column) for column in zip(*names, strict=True))
    rows = await SQL.get_many.rows(connection, projects=projects, namespaces=namespaces, keys=keys)
    values = {row["place"]: StateValue(row["value"], row["revision"]) for row in rows}
    return [values.get(place) for place in range(1, len(names) + 1)]


async def put_many(connection: Connection, entries: Mapping[Name, tuple[str, int | None]]) -> dict[Name, StateRecord]:
    """Writes each (value as JSON, expected revision); 0 expects a missing entry, None matches every revision.

    Returns:
        The entries that were written; names with another revision are missing.
    """
    rows = await SQL.put.rows(
        connection,
        projects=[name[0] for name in entries],
        namespaces=[name[1] for name in entries],
        keys=[name[2] for name in entries],
        values=[value for value, _ in entries.values()],
        expecteds=[expected for _, expected in entries.values()],
    )
    return {(row["project"], row["namespace"], row["key"]): _record(row) for row in rows}


async def put(
    connection: Connection, *, project: str, namespace: str, key: str, value: str, expected: int | None
) -> StateRecord | None:
    """Writes one entry as `put_many`; None if its revision is not the expected one."""
    name = (project, namespace, key)
    return (await put_many(connection, {name: (value, expected)})).get(name)


async def delete(connection: Connection, *, project: str, namespace: str, key: str, expected: int | None) -> bool:
    """Deletes an entry with revision `expected` (None matches every revision); False if it is missing."""
    row = await SQL.delete.row(connection, project=project, namespace=namespace, key=key, expected=expected)
    return row is not None


async def list_page(
    connection: Connection, *, project: str, namespace: str, after: str, size: int
) -> list[StateRecord]:
    """Returns at most `size` entries of a namespace with keys after `after`, by key."""
    rows = await SQL.list.rows(connection, project=project, namespace=namespace, after=after, size=size)
    return [StateRecord(**row) for row in rows]


def _record(row: Record) -> StateRecord:
    return StateRecord(row["namespace"], row["key"], row["value"], row["revision"], row["update_time"])
