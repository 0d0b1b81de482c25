"""State entries: JSON values under namespace and key, with a revision that is never used twice."""

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


async def get(connection: Connection, *, project: str, namespace: str, key: str) -> StateRecord | None:
    """One entry or None."""
    row = await SQL.get.row(connection, project=project, namespace=namespace, key=key)
    return StateRecord(**row) if row else None


async def get_many(connection: Connection, names: Sequence[Name]) -> list[tuple[str, int] | None]:
    """Value (JSON) and revision of each name, in order; None where there is no entry."""
    projects, namespaces, keys = (list(column) for column in zip(*names, strict=True))
    rows = await SQL.get_many.rows(connection, projects=projects, namespaces=namespaces, keys=keys)
    found = {row["place"]: (row["value"], row["revision"]) for row in rows}
    return [found.get(place) for place in range(1, len(names) + 1)]


async def put_many(connection: Connection, entries: Mapping[Name, tuple[str, int | None]]) -> dict[Name, StateRecord]:
    """Writes each name's value (JSON) when the stored revision is the expected one (0: none; None: in any case).

    Returns:
        The new entries; a name is missing when its revision is another one.
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
    """Writes one entry as `put_many` does; None when its revision is another one."""
    name = (project, namespace, key)
    return (await put_many(connection, {name: (value, expected)})).get(name)


async def delete(connection: Connection, *, project: str, namespace: str, key: str, expected: int | None) -> bool:
    """Deletes an entry when its revision is `expected` (None: in any case); False when it is not or there is none."""
    row = await SQL.delete.row(connection, project=project, namespace=namespace, key=key, expected=expected)
    return row is not None


async def list_page(
    connection: Connection, *, project: str, namespace: str, after: str, size: int
) -> list[StateRecord]:
    """At most `size` entries of a namespace whose keys come after `after`, by key."""
    rows = await SQL.list.rows(connection, project=project, namespace=namespace, after=after, size=size)
    return [StateRecord(**row) for row in rows]


def _record(row: Record) -> StateRecord:
    return StateRecord(row["namespace"], row["key"], row["value"], row["revision"], row["update_time"])
