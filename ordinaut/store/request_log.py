"""Answers of mutating calls, kept for 24 hours, so that a repeated request is done once."""

from dataclasses import dataclass

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Names a request: its caller, method and the caller's own id for it."""

    project: str
    agent: str
    method: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An earlier request: the hash of what was asked, and the answer; None for one that carried a secret."""

    hash: bytes
    answer: bytes | None


async def find(connection: Connection, key: RequestKey) -> Answered | None:
    """The earlier request with this key, when it succeeded."""
    row = await SQL.find.row(connection, **_columns(key))
    return Answered(**row) if row else None


async def claim(connection: Connection, key: RequestKey, request_hash: bytes) -> bool:
    """Whether this is the first of the request's copies; waits for the end of one that works beside it."""
    return await SQL.claim.row(connection, **_columns(key), hash=request_hash) is not None


async def keep(connection: Connection, key: RequestKey, answer: bytes | None) -> None:
    """Stores the answer of a claimed request; None says that it carried a secret."""
    await SQL.keep.run(connection, **_columns(key), answer=answer)


async def forget(connection: Connection, batch: int) -> int:
    """Deletes at most `batch` answers that are older than a day, and tells how many."""
    return await SQL.forget.run(connection, batch=batch)


def _columns(key: RequestKey) -> dict[str, str]:
    return {"project": key.project, "agent": key.agent, "method": key.method, "request_id": key.request_id}
