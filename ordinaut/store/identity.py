"""Projects, agents and their tokens. Of a token's secret only the SHA-256 is stored."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ordinaut.errors import AlreadyExistsError, NotFoundError
from ordinaut.names import SYSTEM_PROJECT
from ordinaut.store import audit
from ordinaut.store.selection import Field, Kind, Selection
from ordinaut.store.sql import Connection, Queries
from ordinaut.token_text import TokenText
from ordinaut.v1.error_pb2 import ErrorReason

SQL = Queries(__file__)
FIRST_AGENT = "admin"
AUDITOR = "auditor"
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
    min_priority: int
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
class LockedToken:
    """A token with what it descends from, as in Credential; `valid`: it has not expired and is not revoked."""

    token: TokenRecord
    issuers: list[str]
    admin_issuers: list[str]
    valid: bool


@dataclass(frozen=True, slots=True)
class Credential:
    """The data that a presented token is checked against; `seconds_left` is None for a token that does not expire.

    `issuers` are the agents (`agents/…`) of the tokens that it descends from; those whose token had `admin` are in
    `admin_issuers` instead.
    """

    project: str
    agent: str
    secret_hash: bytes
    token_scopes: list[str]
    agent_scopes: list[str]
    agent_uid: UUID
    issuers: list[str]
    admin_issuers: list[str]
    create_time: datetime
    expire_time: datetime | None
    min_priority: int
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be stored: its public id, the hash of its secret, and the text that is given to the caller once."""

    public_id: str
    secret_hash: bytes
    text: str

    @classmethod
    def make(cls) -> "NewToken":
        """Returns a new token with a secret of 256 bits."""
        text = TokenText.random()
        return cls(text.public_id, hash_secret(text.secret), str(text))


def hash_secret(secret: str) -> bytes:
    """Returns the hash that is stored for a secret. Secrets are random, so no salt and no slow hash are needed."""
    return hashlib.sha256(secret.encode()).digest()


async def create_project(connection: Connection, name: str) -> str:
    """Creates a project as `add_project`, for a command at the database, which is recorded."""
    async with connection.transaction():
        token = await add_project(connection, name)
        await _record(connection, name, "project create", _token_name(FIRST_AGENT, token))
        return token


async def add_project(connection: Connection, name: str) -> str:
    """Creates a project with the agent `admin`, in one transaction.

    Returns:
        A token with the scope `admin`, which is not stored anywhere.

    Raises:
        AlreadyExistsError: the name is taken.
    """
    async with connection.transaction():
        if await SQL.create_project.row(connection, name=name) is None:
            raise AlreadyExistsError(ErrorReason.RESOURCE_EXISTS, f"project {name} already exists", {"project": name})
        await create_agent(connection, project=name, name=FIRST_AGENT, display_name="", scopes=["admin"])
        token = NewToken.make()
        await create_token(connection, project=name, agent=FIRST_AGENT, token=token, scopes=[], expire_time=None)
        return token.text


async def create_operator_token(connection: Connection) -> str:
    """Creates a token of the admin of the reserved project, and this agent unless it exists; in a transaction.

    Returns:
        The token, which is not stored anywhere.
    """
    await create_agent(connection, project=SYSTEM_PROJECT, name=FIRST_AGENT, display_name="", scopes=["admin"])
    token = NewToken.make()
    await create_token(connection, project=SYSTEM_PROJECT, agent=FIRST_AGENT, token=token, scopes=[], expire_time=None)
    await _record(connection, SYSTEM_PROJECT, "project operator", _token_name(FIRST_AGENT, token.text))
    return token.text


async def recover_token(connection: Connection, project: str) -> str:
    """Returns a new token of a project's agent `admin`, which is created or gets back its scope if necessary.

    The project `_`, which every installation has and which owns no tasks, gets an agent that may only read its audit
    records: those of calls without a valid token.

    Raises:
        NotFoundError: the project does not exist.
    """
    agent, scopes = (AUDITOR, ["audit:read"]) if project == SYSTEM_PROJECT else (FIRST_AGENT, ["admin"])
    async with connection.transaction():
        if not await SQL.project_exists.value(connection, project=project):
            raise NotFoundError.of(f"projects/{project}")
        await create_agent(connection, project=project, name=agent, display_name="", scopes=scopes)
        stored = await lock_agent(connection, project, agent)
        if stored is not None and not set(scopes) <= set(stored.scopes):
            await update_agent(
                connection,
                project=project,
                name=agent,
                display_name=stored.display_name,
                scopes=scopes,
                min_priority=stored.min_priority,
            )
        token = NewToken.make()
        await create_token(connection, project=project, agent=agent, token=token, scopes=[], expire_time=None)
        await _record(connection, project, "admin token", _token_name(agent, token.text))
        return token.text


def _token_name(agent: str, text: str) -> str:
    return f"agents/{agent}/tokens/{text.split('_')[1]}"


async def _record(connection: Connection, project: str, command: str, resource: str) -> None:
    role = await SQL.database_role.value(connection)
    body = {"agent": f"database:{role}", "method": command, "resource": resource, "outcome": "DONE", "count": 1}
    await audit.write(connection, project, [audit.to_text(body)])


async def create_agent(
    connection: Connection,
    *,
    project: str,
    name: str,
    display_name: str,
    scopes: Sequence[str],
    creator: UUID | None = None,
    min_priority: int = 1,
) -> AgentRecord | None:
    """Creates an agent; None when the name is taken. `creator` is the uid of the agent that asks for it."""
    row = await SQL.create_agent.row(
        connection,
        project=project,
        name=name,
        display_name=display_name,
        scopes=list(scopes),
        creator=creator,
        min_priority=min_priority,
    )
    return AgentRecord(**row) if row else None


async def get_agent(connection: Connection, project: str, name: str) -> AgentRecord | None:
    """Returns an agent or None."""
    row = await SQL.get_agent.row(connection, project=project, name=name)
    return AgentRecord(**row) if row else None


async def scopes_of(connection: Connection, *, project: str, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Returns the scopes of those agents that exist, by name."""
    rows = await SQL.scopes_of.rows(connection, project=project, names=list(names))
    return {row["name"]: frozenset(row["scopes"]) for row in rows}


async def some_names(connection: Connection, *, project: str, size: int) -> list[str]:
    """Returns the names of at most `size` agents."""
    return [row["name"] for row in await SQL.some_names.rows(connection, project=project, size=size)]


async def lock_agent(connection: Connection, project: str, name: str) -> AgentRecord | None:
    """Returns an agent as `get_agent` and locks its row until the transaction ends."""
    row = await SQL.lock_agent.row(connection, project=project, name=name)
    return AgentRecord(**row) if row else None


async def update_agent(
    connection: Connection, *, project: str, name: str, display_name: str, scopes: Sequence[str], min_priority: int
) -> AgentRecord:
    """Changes a locked agent and makes workers reload its rights."""
    row = await SQL.update_agent.row(
        connection,
        project=project,
        name=name,
        display_name=display_name,
        scopes=list(scopes),
        min_priority=min_priority,
    )
    await SQL.touch_project.run(connection, project=project)
    return AgentRecord(**row)


async def is_creator(connection: Connection, *, project: str, name: str, creator: UUID) -> bool:
    """Whether the agent `name` was created by `creator`, or by an agent of which this is true."""
    return bool(await SQL.is_creator.value(connection, project=project, name=name, creator=creator))


async def is_reserved(connection: Connection, *, project: str, name: str) -> bool:
    """Whether an agent of this name was deleted and runs, tools, approvals or events still refer to it."""
    return bool(await SQL.is_reserved.value(connection, project=project, name=name))


async def delete_agent(connection: Connection, *, project: str, name: str) -> None:
    """Deletes a locked agent with its tokens and makes workers reload the rights of the project.

    Its name is reserved while `is_reserved`.
    """
    await SQL.delete_tokens.run(connection, project=project, agent=name)
    await SQL.delete_responses.run(connection, project=project, agent=name)
    await SQL.delete_agent.run(connection, project=project, name=name)
    await SQL.touch_project.run(connection, project=project)


async def owned_tasks(connection: Connection, *, project: str, name: str) -> int:
    """Returns the number of tasks that an agent owns."""
    return int(await SQL.owned_tasks.value(connection, project=project, name=name))


async def list_tokens(connection: Connection, *, project: str, agent: str, after: str, size: int) -> list[TokenRecord]:
    """Returns at most `size` tokens of an agent with public ids after `after`, including revoked ones."""
    rows = await SQL.list_tokens.rows(connection, project=project, agent=agent, after=after, size=size)
    return [TokenRecord(**row) for row in rows]


async def list_agents(connection: Connection, *, project: str, selection: Selection, size: int) -> list[AgentRecord]:
    """Returns at most `size` agents that match `selection` (over FIELDS)."""
    rows = await SQL.list_agents.page(connection, selection, project=project, size=size)
    return [AgentRecord(**row) for row in rows]


async def owner_scopes(connection: Connection, project: str, owner: str) -> frozenset[str]:
    """Returns the current scopes of `agents/{agent}`; empty if the agent does not exist."""
    scopes = await SQL.agent_scopes.value(connection, project=project, name=owner.removeprefix("agents/"))
    return frozenset(scopes or ())


async def min_priority(connection: Connection, project: str, owner: str) -> int:
    """Returns the most urgent priority that `agents/{agent}` may use; 9 if the agent does not exist."""
    value = await SQL.min_priority.value(connection, project=project, name=owner.removeprefix("agents/"))
    return 9 if value is None else int(value)


async def create_token(
    connection: Connection,
    *,
    project: str,
    agent: str,
    token: NewToken,
    scopes: Sequence[str],
    expire_time: datetime | None,
    issuer: str = "",
    issuers: Sequence[str] = (),
    admin_issuers: Sequence[str] = (),
) -> TokenRecord | None:
    """Stores a token of an existing agent; None if `expire_time` is in the past.

    `issuer` is the resource name of the token that the request was made with, or empty; `issuers` and `admin_issuers`
    as in Credential.
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
        issuers=list(issuers),
        admin_issuers=list(admin_issuers),
    )
    return TokenRecord(**row) if row else None


async def lock_token(connection: Connection, *, project: str, agent: str, public_id: str) -> LockedToken | None:
    """Returns a token and locks its row until the transaction ends; None if the agent does not have it."""
    row = await SQL.lock_token.row(connection, project=project, agent=agent, public_id=public_id)
    if row is None:
        return None
    fields = dict(row)
    rest = {name: fields.pop(name) for name in ("issuers", "admin_issuers", "valid")}
    return LockedToken(TokenRecord(**fields), **rest)


async def expire_token(connection: Connection, *, public_id: str, overlap: timedelta) -> None:
    """Makes a locked token expire after `overlap`, unless it expires earlier."""
    await SQL.expire_token.run(connection, public_id=public_id, overlap=overlap)


async def revoke_token(connection: Connection, *, project: str, agent: str, public_id: str) -> None:
    """Revokes a token. The time of a revoked token does not change."""
    await SQL.revoke_token.run(connection, project=project, agent=agent, public_id=public_id)


async def find_credential(connection: Connection, public_id: str) -> Credential | None:
    """Returns the credential with this public id; None if it is unknown, expired or revoked."""
    row = await SQL.token.row(connection, public_id=public_id)
    return Credential(**row) if row else None


async def note_uses(connection: Connection, public_ids: Collection[str]) -> None:
    """Sets the last use of these tokens to now, at most once a minute for each."""
    await SQL.note_uses.run(connection, public_ids=list(public_ids))


async def page_token_key(connection: Connection) -> bytes:
    """Returns the key that this installation signs page tokens with."""
    key: bytes = await SQL.page_token_key.value(connection)
    return key
