# ruff: noqa: N802 - methods are named by the contract
"""AgentService: agents and their tokens. A caller can grant and revoke only scopes that it has itself."""

from google.protobuf.empty_pb2 import Empty

from gateway.admission.quotas import Quotas
from gateway.agents.changes import AgentChanges
from gateway.agents.conversion import (
    DEFAULT_MIN_PRIORITY,
    existing_agent,
    require_authority,
    require_min_priority,
    require_scopes,
    to_agent,
    to_token,
)
from gateway.agents.issue import TokenLifetimes, issue
from gateway.agents.rotate import overlap_of, rotate
from gateway.api.errors import already_exists
from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.ordering import parse_order
from gateway.api.pagination import PageTokens, page_size, read_page
from gateway.api.resource_names import agent_id, token_ids
from gateway.api.violations import DISPLAY_NAME_MAX, Problems, got
from gateway.api.visibility import within_globs
from gateway.authentication.caller import current_caller
from ordinaut.errors import FailedPreconditionError, NotFoundError
from ordinaut.names import RESOURCE_ID
from ordinaut.rpc.interceptor import Context
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.store.identity import AgentRecord, TokenRecord
from ordinaut.store.selection import Selection
from ordinaut.store.sql import Connection
from ordinaut.v1.agent_pb2 import Agent, AgentToken
from ordinaut.v1.agent_service_pb2 import (
    CreateAgentRequest,
    CreateAgentTokenRequest,
    DeleteAgentRequest,
    GetAgentRequest,
    ListAgentsRequest,
    ListAgentsResponse,
    ListAgentTokensRequest,
    ListAgentTokensResponse,
    RevokeAgentTokenRequest,
    RotateAgentTokenRequest,
    UpdateAgentRequest,
    WhoAmIRequest,
    WhoAmIResponse,
)
from ordinaut.v1.agent_service_pb2_grpc import AgentServiceServicer
from ordinaut.v1.error_pb2 import ErrorReason

READ = "agents:read"
WRITE = "agents:write"


class Agents(AgentServiceServicer):
    """Implements AgentService."""

    def __init__(self, database: Database, page_tokens: PageTokens, lifetimes: TokenLifetimes, quotas: Quotas) -> None:
        self._quotas = quotas
        self._database = database
        self._lifetimes = lifetimes
        self._page_tokens = page_tokens
        self._changes = AgentChanges(database)

    async def CreateAgent(self, request: CreateAgentRequest, context: Context) -> Agent:
        """Creates an agent; the caller must have all its scopes. The name of a deleted agent may be reserved."""
        caller, agent = current_caller(), request.agent
        mutation = Mutation(self._database, request, Agent)
        if (response := await mutation.stored_response()) is not None:
            return response
        _check_agent(request)
        caller.require(WRITE, request.agent_id)
        require_scopes(caller, agent.scopes)
        require_min_priority(caller, agent.min_priority or DEFAULT_MIN_PRIORITY)

        async def work(connection: Connection) -> Agent:
            await self._quotas.require_room(connection, "agents", project=caller.project, agent=caller.agent)
            if await identity.is_reserved(connection, project=caller.project, name=request.agent_id):
                raise _reserved(f"agents/{request.agent_id}")
            record = await identity.create_agent(
                connection,
                project=caller.project,
                name=request.agent_id,
                display_name=agent.display_name,
                scopes=agent.scopes,
                creator=caller.agent_uid,
                min_priority=agent.min_priority or DEFAULT_MIN_PRIORITY,
            )
            if record is None:
                raise already_exists(f"agents/{request.agent_id}")
            return to_agent(record)

        return await mutation.execute(work)

    async def GetAgent(self, request: GetAgentRequest, context: Context) -> Agent:
        """Returns one agent of the project."""
        caller, name = current_caller(), agent_id(request.name)
        caller.require(READ, name)
        async with self._database.connection() as connection:
            return to_agent(await existing_agent(connection, caller, name))

    async def ListAgents(self, request: ListAgentsRequest, context: Context) -> ListAgentsResponse:
        """Lists a page of the project's agents."""
        caller, size = current_caller(), page_size(request.page_size)
        order = parse_order(request.order_by, identity.FIELDS)
        start, condition = self._page_tokens.start(request, caller), parse_filter(request.filter, identity.FIELDS)
        condition = within_globs(condition, caller, READ, "name", "agents/")
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[AgentRecord]:
                selection = Selection(identity.FIELDS, order.beyond(after), condition)
                return await identity.list_agents(connection, project=caller.project, selection=selection, size=count)

            page = await read_page(read, order.key, start, size, to_agent)
        token = self._page_tokens.token(request, caller, order.key(page.last)) if page.last else ""
        return ListAgentsResponse(agents=page.messages, next_page_token=token)

    async def UpdateAgent(self, request: UpdateAgentRequest, context: Context) -> Agent:
        """Changes the fields in the mask."""
        caller, name = current_caller(), agent_id(request.agent.name, "agent.name")
        caller.require(WRITE, name)
        return await self._changes.update(request, caller, name)

    async def DeleteAgent(self, request: DeleteAgentRequest, context: Context) -> Empty:
        """Deletes an agent that owns no tasks, with its tokens; gateways may accept these for two more seconds."""
        caller, name = current_caller(), agent_id(request.name)
        caller.require(WRITE, name)
        return await self._changes.delete(request, caller, name)

    async def ListAgentTokens(self, request: ListAgentTokensRequest, context: Context) -> ListAgentTokensResponse:
        """Lists a page of an agent's tokens, without their secrets."""
        caller, name = current_caller(), agent_id(request.parent, "parent")
        caller.require(READ, name)
        size, start = page_size(request.page_size), self._page_tokens.start(request, caller)
        async with self._database.connection() as connection:
            await existing_agent(connection, caller, name)

            async def read(after: str, count: int) -> list[TokenRecord]:
                return await identity.list_tokens(
                    connection, project=caller.project, agent=name, after=after, size=count
                )

            page = await read_page(
                read, lambda record: record.public_id, start, size, lambda record: to_token(name, record)
            )
        token = self._page_tokens.token(request, caller, page.last.public_id) if page.last else ""
        return ListAgentTokensResponse(agent_tokens=page.messages, next_page_token=token)

    async def CreateAgentToken(self, request: CreateAgentTokenRequest, context: Context) -> AgentToken:
        """Creates a token; the caller must have its scopes. The secret is in this response only."""
        caller, name = current_caller(), agent_id(request.parent, "parent")
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, AgentToken, has_secret=True)
        if (response := await mutation.stored_response()) is not None:
            return response
        _check_token(request)

        async def work(connection: Connection) -> AgentToken:
            agent = await existing_agent(connection, caller, name)
            await require_authority(connection, caller, name)
            await self._quotas.require_room(connection, "tokens", project=caller.project, agent=name)
            return await issue(connection, caller, agent, request, self._lifetimes)

        return await mutation.execute(work)

    async def RevokeAgentToken(self, request: RevokeAgentTokenRequest, context: Context) -> Empty:
        """Revokes a token; gateways may accept it for two more seconds."""
        caller, (name, public_id) = current_caller(), token_ids(request.name)
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, Empty)
        if (response := await mutation.stored_response()) is not None:
            return response

        async def work(connection: Connection) -> Empty:
            agent = await identity.get_agent(connection, caller.project, name)
            if agent is None:
                raise NotFoundError.of(request.name)
            await require_authority(connection, caller, name)
            if name != caller.agent:
                require_scopes(caller, agent.scopes)
            old = await identity.lock_token(connection, project=caller.project, agent=name, public_id=public_id)
            if old is None:
                raise NotFoundError.of(request.name)
            mutation.replaces(to_token(name, old.token))
            await identity.revoke_token(connection, project=caller.project, agent=name, public_id=public_id)
            return Empty()

        return await mutation.execute(work)

    async def RotateAgentToken(self, request: RotateAgentTokenRequest, context: Context) -> AgentToken:
        """Replaces a token; the old one expires after the overlap. The secret is in this response only."""
        caller, (name, public_id) = current_caller(), token_ids(request.name)
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, AgentToken, has_secret=True)
        if (response := await mutation.stored_response()) is not None:
            return response
        overlap_of(request)

        async def work(connection: Connection) -> AgentToken:
            agent = await existing_agent(connection, caller, name)
            await require_authority(connection, caller, name)
            return await rotate(connection, caller, agent, public_id, request, self._lifetimes, mutation)

        return await mutation.execute(work)

    async def WhoAmI(self, request: WhoAmIRequest, context: Context) -> WhoAmIResponse:
        """Returns the agent of the token, and the token's scopes."""
        caller = current_caller()
        async with self._database.connection() as connection:
            agent = await existing_agent(connection, caller, caller.agent)
        return WhoAmIResponse(agent=to_agent(agent), project=caller.project, scopes=sorted(caller.scopes))


def _reserved(name: str) -> FailedPreconditionError:
    return FailedPreconditionError(
        ErrorReason.RESERVED,
        f"{name} was deleted, and runs, tools, approvals or events still refer to it; choose another name",
        {"resource": name},
    )


def _check_agent(request: CreateAgentRequest) -> None:
    problems = Problems()
    problems.identifier("agent_id", request.agent_id, RESOURCE_ID)
    if request.agent.name not in {"", f"agents/{request.agent_id}"}:
        message = f"must be agents/{request.agent_id} or omitted {got(request.agent.name)}"
        problems.add("agent.name", message, ErrorReason.NAME_INVALID)
    problems.not_writable("agent", request.agent)
    problems.text("agent.display_name", request.agent.display_name, DISPLAY_NAME_MAX)
    problems.scopes("agent.scopes", request.agent.scopes)
    problems.between("agent.min_priority", request.agent.min_priority, 0, 9)
    problems.check()


def _check_token(request: CreateAgentTokenRequest) -> None:
    problems = Problems()
    problems.not_writable("agent_token", request.agent_token)
    problems.scopes("agent_token.scopes", request.agent_token.scopes)
    problems.check()
