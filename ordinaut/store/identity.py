"""Projects, agents and their tokens. A token's secret is never stored, only its SHA-256."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ordinaut.errors import AlreadyExistsError
from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries
from ordinaut.v1.error_pb2 import ErrorReason

SQL = Queries(__file__)
TOKEN_PREFIX = "ord"  # noqa: S105 - the beginning that all tokens share
FIRST_AGENT = "admin"
FIELDS = {
    "name": Field("'agents/' || name", sort="name"),
    "display_name": Field("display_name"),
    "scopes": Field("scopes", Kind.LIST),
    "create_time": Field("create_time", Kind.TIME, sort="create_time"),
}


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """An agent as it is stored."""

    name: str
    uid: UUID
    display_name: str
    scopes: list[str]
    create_time: datetime


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """A token as it is stored."""

    public_id: str
    scopes: list[str]
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None
    issuer: str
    last_use_time: datetime | None


@dataclass(frozen=True, slots=True)
class Credential:
    """What a shown token is checked against."""

    project: str
    agent: str
    secret_hash: bytes
    token_scopes: list[str]
    agent_scopes: list[str]
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token before it is stored: its public part, its secret's hash, and the text that its owner keeps."""

    public_id: str
    secret_hash: bytes
    text: str

    @classmethod
    def make(cls) -> "NewToken":
        """A token with 256 bits of secret."""
        public_id, secret = secrets.token_hex(8), secrets.token_hex(32)
        return cls(public_id, hash_secret(secret), f"{TOKEN_PREFIX}_{public_id}_{secret}")


def hash_secret(secret: str) -> bytes:
    """What is stored of a secret; it is random, so that a plain hash suffices."""
    return hashlib.sha256(secret.encode()).digest()


async def create_project(connection: Connection, name: str) -> str:
    """Makes a project with the agent `admin`, in one transaction.

    Returns:
        A token with the scope `admin`; it is kept nowhere.

    Raises:
        AlreadyExistsError: the name is taken.
    """
    async with connection.transaction():
        if await SQL.create_project.row(connection, name=name) is None:
            raise AlreadyExistsError(ErrorReason.RESOURCE_EXISTS, f"project {name} exists", {"project": name})
        await create_agent(connection, project=name, name=FIRST_AGENT, display_name="", scopes=["admin"])
        token = NewToken.make()
        await create_token(connection, project=name, agent=FIRST_AGENT, token=token, scopes=[], expire_time=None)
        return token.text


async def create_agent(
    connection: Connection, *, project: str, name: str, display_name: str, scopes: Sequence[str]
) -> AgentRecord | None:
    """Makes an agent; None when the name is taken."""
    row = await SQL.create_agent.row(
        connection, project=project, name=name, display_name=display_name, scopes=list(scopes)
    )
    return AgentRecord(**row) if row else None


async def get_agent(connection: Connection, project: str, name: str) -> AgentRecord | None:
    """One agent or None."""
    row = await SQL.get_agent.row(connection, project=project, name=name)
    return AgentRecord(**row) if row else None


async def scopes_of(connection: Connection, *, project: str, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Those of some agents that exist, and what they may do."""
    rows = await SQL.scopes_of.rows(connection, project=project, names=list(names))
    return {row["name"]: frozenset(row["scopes"]) for row in rows}


async def some_names(connection: Connection, *, project: str, size: int) -> list[str]:
    """Names of agents, at most `size`."""
    return [row["name"] for row in await SQL.some_names.rows(connection, project=project, size=size)]


async def lock_agent(connection: Connection, project: str, name: str) -> AgentRecord | None:
    """As `get_agent`, with the row locked until the transaction ends."""
    row = await SQL.lock_agent.row(connection, project=project, name=name)
    return AgentRecord(**row) if row else None


async def update_agent(
    connection: Connection, *, project: str, name: str, display_name: str, scopes: Sequence[str]
) -> AgentRecord:
    """Changes a locked agent, and has workers read its rights anew."""
    row = await SQL.update_agent.row(
        connection, project=project, name=name, display_name=display_name, scopes=list(scopes)
    )
    await SQL.touch_project.run(connection, project=project)
    return AgentRecord(**row)


async def delete_agent(connection: Connection, *, project: str, name: str) -> None:
    """Removes a locked agent with its tokens, and has workers forget its rights."""
    await SQL.delete_tokens.run(connection, project=project, agent=name)
    await SQL.delete_agent.run(connection, project=project, name=name)
    await SQL.touch_project.run(connection, project=project)


async def owned_tasks(connection: Connection, *, project: str, name: str) -> int:
    """How many tasks an agent owns."""
    return int(await SQL.owned_tasks.value(connection, project=project, name=name))


async def list_tokens(connection: Connection, *, project: str, agent: str, after: str, size: int) -> list[TokenRecord]:
    """At most `size` tokens of an agent whose public ids come after `after`, revoked ones too."""
    rows = await SQL.list_tokens.rows(connection, project=project, agent=agent, after=after, size=size)
    return [TokenRecord(**row) for row in rows]


async def list_agents(connection: Connection, *, project: str, selection: Selection, size: int) -> list[AgentRecord]:
    """At most `size` agents that `selection` (over FIELDS) picks."""
    rows = await SQL.list_agents.page(connection, selection, project=project, size=size)
    return [AgentRecord(**row) for row in rows]


async def owner_scopes(connection: Connection, project: str, owner: str) -> frozenset[str]:
    """What `agents/{agent}` may do now; nothing when there is no such agent."""
    scopes = await SQL.agent_scopes.value(connection, project=project, name=owner.removeprefix("agents/"))
    return frozenset(scopes or ())


async def create_token(
    connection: Connection,
    *,
    project: str,
    agent: str,
    token: NewToken,
    scopes: Sequence[str],
    expire_time: datetime | None,
    issuer: str = "",
) -> TokenRecord | None:
    """Stores a token of an existing agent; None when `expire_time` has passed already.

    `issuer` is the resource name of the token that asks for it; empty for none.
    """
    row = await SQL.create_token.row(
        connection,
        project=project,
        agent=agent,
        public_id=token.public_id,
        secret_hash=token.secret_hash,
        scopes=list(scopes),
        expire_time=expire_time,
        issuer=issuer,
    )
    return TokenRecord(**row) if row else None


async def revoke_token(connection: Connection, *, project: str, agent: str, public_id: str) -> bool:
    """Ends a token; False when there is none. Revoking twice is one revocation."""
    row = await SQL.revoke_token.row(connection, project=project, agent=agent, public_id=public_id)
    return row is not None


async def find_credential(connection: Connection, public_id: str) -> Credential | None:
    """What a token with this public id must match; None when none is valid now."""
    row = await SQL.token.row(connection, public_id=public_id)
    return Credential(**row) if row else None


async def note_uses(connection: Connection, public_ids: Collection[str]) -> None:
    """Stores that these tokens are in use now, at most once a minute for each."""
    await SQL.note_uses.run(connection, public_ids=list(public_ids))


async def page_token_key(connection: Connection) -> bytes:
    """The secret that this installation signs its page tokens with."""
    key: bytes = await SQL.page_token_key.value(connection)
    return key
