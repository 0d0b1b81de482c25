"""The chain of hashes over the audit records of each project."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ordinaut.clock import EPOCH, TICK
from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: position and hash of its last record; position 0 if it is empty."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Unsealed:
    """What is chained of a record."""

    id: int
    time: datetime
    body_hash: bytes


def genesis(project: str) -> bytes:
    """The hash before the first record of a project."""
    return hashlib.sha256(f"ordinaut audit {project}".encode()).digest()


def link(previous: bytes, seq: int, entry: int, time: datetime, body_hash: bytes) -> bytes:
    """The hash of the chain up to a record."""
    numbers = b"".join(number.to_bytes(8, "big", signed=True) for number in (seq, entry, (time - EPOCH) // TICK))
    return hashlib.sha256(previous + numbers + body_hash).digest()


async def projects(connection: Connection, batch: int) -> list[str]:
    """The projects of the oldest `batch` records that are not sealed."""
    return [row["project"] for row in await SQL.projects.rows(connection, batch=batch)]


async def every_project(connection: Connection) -> list[str]:
    """The names of all projects."""
    return [row["name"] for row in await SQL.every_project.rows(connection)]


async def try_lock(connection: Connection, project: str) -> bool:
    """Locks the chain of a project until the transaction ends; False if another transaction has locked it."""
    return bool(await SQL.try_lock.value(connection, project=project))


async def head(connection: Connection, project: str) -> Head:
    """The end of a project's chain."""
    row = await SQL.head.row(connection, project=project)
    return Head(**row) if row else Head(0, genesis(project))


async def todo(connection: Connection, project: str, batch: int) -> list[Unsealed]:
    """At most `batch` records of a project that are not sealed, oldest first."""
    return [Unsealed(**row) for row in await SQL.todo.rows(connection, project=project, batch=batch)]


async def seal(connection: Connection, project: str, end: Head, records: Sequence[Unsealed]) -> Head:
    """Extends a locked chain from its head `end`, and returns its new head."""
    heads = []
    for record in records:
        seq = end.seq + 1
        end = Head(seq, link(end.hash, seq, record.id, record.time, record.body_hash))
        heads.append(end)
    entries = [record.id for record in records]
    await SQL.seal.run(
        connection,
        project=project,
        seqs=[item.seq for item in heads],
        entries=entries,
        hashes=[item.hash for item in heads],
    )
    await SQL.done.run(connection, entries=entries)
    return end


async def drop(connection: Connection, project: str, age: timedelta, batch: int) -> int:
    """Drops sealed records older than `age` from the beginning of a chain, at most `batch`; returns their number."""
    return int(await SQL.drop.value(connection, project=project, age=age, batch=batch))
