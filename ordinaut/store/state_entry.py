"""State entries: JSON values under namespace and key, with a revision that is never used twice."""

from dataclasses import dataclass
from datetime import datetime

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


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


async def put(
    connection: Connection, *, project: str, namespace: str, key: str, value: str, expected: int | None
) -> StateRecord | None:
    """Writes `value` (JSON) when the stored revision is `expected` (0: there is no entry; None: in any case).

    Returns:
        The new entry, or None when the revision is another one.
    """
    row = await SQL.put.row(connection, project=project, namespace=namespace, key=key, value=value, expected=expected)
    return StateRecord(**row) if row else None


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
