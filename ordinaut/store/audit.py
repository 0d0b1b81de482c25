"""The audit log: who changed something or was refused. Records are only added; `audit_seal` chains them by hashes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from ordinaut.store.selection import Condition, Field, Kind, Order, Selection
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)
OUTCOMES = frozenset({"DONE", "DENIED"})


def _part(name: str) -> str:
    return f"(a.body::jsonb ->> '{name}')"


FIELDS = {
    "agent": Field("a.agent"),
    "resource": Field("a.resource"),
    "token": Field(_part("token")),
    "address": Field(_part("address")),
    "method": Field(_part("method")),
    "request_id": Field(_part("request_id")),
    "reason": Field(_part("reason")),
    "outcome": Field(_part("outcome"), choices=OUTCOMES),
    "time": Field("a.time", Kind.TIME),
}


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A record as it is stored: `body` is JSON, None if it was erased; `seq` and `hash` are None until it is sealed."""

    id: int
    time: datetime
    body_hash: bytes
    body: str | None
    seq: int | None
    hash: bytes | None


def to_text(body: Mapping[str, Any]) -> str:
    """The content of a record as JSON."""
    return orjson.dumps(body).decode()


async def write(connection: Connection, project: str, bodies: Sequence[str]) -> None:
    """Adds records (as JSON) in one statement; to be called in the transaction of the change."""
    await SQL.write.run(connection, project=project, bodies=list(bodies))


async def list_page(
    connection: Connection, *, project: str, condition: Condition, before: int, size: int
) -> list[AuditEntry]:
    """Returns at most `size` records with ids below `before` that match a condition over FIELDS, newest first."""
    rows = await SQL.list.page(
        connection, Selection(FIELDS, Order(()), condition), project=project, before=before, size=size
    )
    return [AuditEntry(**row) for row in rows]


async def export(connection: Connection, *, project: str, after: int, until: int) -> list[AuditEntry]:
    """Returns the sealed records at positions after `after` up to `until`."""
    rows = await SQL.export.rows(connection, project=project, after=after, until=until)
    return [AuditEntry(**row) for row in rows]


async def erase(connection: Connection, *, project: str, ids: Sequence[int], reason: str) -> int:
    """Erases the contents of records, which is recorded itself; returns the number of records that had a content."""
    return int(await SQL.erase.value(connection, project=project, ids=list(ids), reason=reason))
