"""Responses of mutating calls, stored for 24 hours, so that a repeated request takes effect once."""

from collections.abc import Sequence
from dataclasses import dataclass

from ordinaut.store.sql import Connection, Queries

SQL = Queries(__file__)


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Identifies a request: its caller, its method, and the id that the caller chose for it."""

    project: str
    agent: str
    method: str
    request_id: str


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An earlier request: its hash, the scopes of its token, and the serialized response; None if it has a secret."""

    request_hash: bytes
    scopes: list[str]
    response: bytes | None


async def find(connection: Connection, key: RequestKey) -> StoredResponse | None:
    """Returns the earlier request with this key, if it succeeded."""
    row = await SQL.find.row(connection, **_columns(key))
    return StoredResponse(row["hash"], row["scopes"], row["answer"]) if row else None


async def claim(connection: Connection, key: RequestKey, request_hash: bytes, scopes: Sequence[str]) -> bool:
    """Inserts the request; False if it is there already. Waits until a concurrent transaction with this key ends."""
    return await SQL.claim.row(connection, **_columns(key), hash=request_hash, scopes=list(scopes)) is not None


async def store_response(connection: Connection, key: RequestKey, response: bytes | None) -> None:
    """Stores the response of a claimed request; None for a response with a secret."""
    await SQL.store_response.run(connection, **_columns(key), answer=response)


async def delete_old(connection: Connection, batch: int) -> int:
    """Deletes at most `batch` requests that are older than 24 hours and returns their number."""
    return await SQL.delete_old.run(connection, batch=batch)


def _columns(key: RequestKey) -> dict[str, str]:
    return {"project": key.project, "agent": key.agent, "method": key.method, "request_id": key.request_id}
