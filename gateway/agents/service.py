# ruff: noqa: N802 - methods are named by the contract
"""AgentService: who may call, and with which tokens. Nobody gives, or takes from somebody, a right that they lack."""

from google.protobuf.empty_pb2 import Empty

from gateway.agents.changes import AgentChanges
from gateway.agents.conversion import existing_agent, require_cover, to_agent, to_token
from gateway.api.filters import parse_filter
from gateway.api.idempotency import Mutation
from gateway.api.json_values import moment_of
from gateway.api.ordering import parse_order
from gateway.api.pagination import Pages, filled, page_size
from gateway.api.resource_names import agent_id, token_ids
from gateway.api.violations import DISPLAY_NAME_MAX, Problems
from gateway.authentication.caller import Caller, current_caller
from ordinaut.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError, Violation
from ordinaut.names import RESOURCE_ID, covers
from ordinaut.rpc.interceptor import Context
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.store.identity import AgentRecord, NewToken, TokenRecord
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
    UpdateAgentRequest,
    WhoAmIRequest,
    WhoAmIResponse,
)
from ordinaut.v1.agent_service_pb2_grpc import AgentServiceServicer
from ordinaut.v1.error_pb2 import ErrorReason

READ = "agents:read"
WRITE = "agents:write"


class Agents(AgentServiceServicer):
    """Answers calls about agents and tokens."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages
        self._changes = AgentChanges(database)

    async def CreateAgent(self, request: CreateAgentRequest, context: Context) -> Agent:
        """Makes an agent with scopes that the caller has too."""
        caller, wanted = current_caller(), request.agent
        mutation = Mutation(self._database, request, Agent)
        if (answer := await mutation.earlier()) is not None:
            return answer
        _check_agent(request)
        caller.require(WRITE, request.agent_id)
        require_cover(caller, wanted.scopes)

        async def work(connection: Connection) -> Agent:
            record = await identity.create_agent(
                connection,
                project=caller.project,
                name=request.agent_id,
                display_name=wanted.display_name,
                scopes=wanted.scopes,
            )
            if record is None:
                name = f"agents/{request.agent_id}"
                raise AlreadyExistsError(ErrorReason.RESOURCE_EXISTS, f"{name} exists", {"resource": name})
            return to_agent(record)

        return await mutation.once(work)

    async def GetAgent(self, request: GetAgentRequest, context: Context) -> Agent:
        """One agent of the project."""
        caller, name = current_caller(), agent_id(request.name)
        caller.require(READ, name)
        async with self._database.connection() as connection:
            return to_agent(await existing_agent(connection, caller, name))

    async def ListAgents(self, request: ListAgentsRequest, context: Context) -> ListAgentsResponse:
        """A page of the project's agents."""
        caller, size = current_caller(), page_size(request.page_size)
        order = parse_order(request.order_by, identity.FIELDS)
        start, condition = self._pages.start(request, caller), parse_filter(request.filter, identity.FIELDS)
        async with self._database.connection() as connection:

            async def read(after: str, count: int) -> list[AgentRecord]:
                selection = Selection(identity.FIELDS, order.beyond(after), condition)
                return await identity.list_agents(connection, project=caller.project, selection=selection, size=count)

            page = await filled(read, order.key, start, size, to_agent, lambda record: caller.may(READ, record.name))
        token = self._pages.token(request, caller, order.key(page.last)) if page.last else ""
        return ListAgentsResponse(agents=page.messages, next_page_token=token)

    async def UpdateAgent(self, request: UpdateAgentRequest, context: Context) -> Agent:
        """Changes what the mask names."""
        caller, name = current_caller(), agent_id(request.agent.name, "agent.name")
        caller.require(WRITE, name)
        return await self._changes.update(request, caller, name)

    async def DeleteAgent(self, request: DeleteAgentRequest, context: Context) -> Empty:
        """Deletes an agent that owns no tasks, with its tokens; gateways may believe those for two more seconds."""
        caller, name = current_caller(), agent_id(request.name)
        caller.require(WRITE, name)
        return await self._changes.delete(request, caller, name)

    async def ListAgentTokens(self, request: ListAgentTokensRequest, context: Context) -> ListAgentTokensResponse:
        """A page of an agent's tokens, without their secrets."""
        caller, name = current_caller(), agent_id(request.parent, "parent")
        caller.require(READ, name)
        size, start = page_size(request.page_size), self._pages.start(request, caller)
        async with self._database.connection() as connection:
            await existing_agent(connection, caller, name)

            async def read(after: str, count: int) -> list[TokenRecord]:
                return await identity.list_tokens(
                    connection, project=caller.project, agent=name, after=after, size=count
                )

            page = await filled(
                read, lambda record: record.public_id, start, size, lambda record: to_token(name, record)
            )
        token = self._pages.token(request, caller, page.last.public_id) if page.last else ""
        return ListAgentTokensResponse(agent_tokens=page.messages, next_page_token=token)

    async def CreateAgentToken(self, request: CreateAgentTokenRequest, context: Context) -> AgentToken:
        """Makes a token for an agent whose rights the caller has too; its secret is in this answer only."""
        caller, name = current_caller(), agent_id(request.parent, "parent")
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, AgentToken, keeps_secret=True)
        if (answer := await mutation.earlier()) is not None:
            return answer
        _check_token(request)

        async def work(connection: Connection) -> AgentToken:
            agent = await existing_agent(connection, caller, name)
            return await _issue(connection, caller, agent, request)

        return await mutation.once(work)

    async def RevokeAgentToken(self, request: RevokeAgentTokenRequest, context: Context) -> Empty:
        """Ends a token; gateways may believe it for two more seconds."""
        caller, (name, public_id) = current_caller(), token_ids(request.name)
        caller.require(WRITE, name)
        mutation = Mutation(self._database, request, Empty)
        if (answer := await mutation.earlier()) is not None:
            return answer

        async def work(connection: Connection) -> Empty:
            agent = await identity.get_agent(connection, caller.project, name)
            if agent is None:
                raise NotFoundError.of(request.name)
            require_cover(caller, agent.scopes)
            if not await identity.revoke_token(connection, project=caller.project, agent=name, public_id=public_id):
                raise NotFoundError.of(request.name)
            return Empty()

        return await mutation.once(work)

    async def WhoAmI(self, request: WhoAmIRequest, context: Context) -> WhoAmIResponse:
        """The agent behind the token, and what the token may do."""
        caller = current_caller()
        async with self._database.connection() as connection:
            agent = await existing_agent(connection, caller, caller.agent)
        return WhoAmIResponse(agent=to_agent(agent), project=caller.project, scopes=sorted(caller.scopes))


def _check_agent(request: CreateAgentRequest) -> None:
    problems = Problems()
    problems.identifier("agent_id", request.agent_id, RESOURCE_ID, f"of the form {RESOURCE_ID.pattern}")
    if request.agent.name not in {"", f"agents/{request.agent_id}"}:
        problems.add("agent.name", f"must be agents/{request.agent_id} or left out", ErrorReason.NAME_INVALID)
    problems.not_writable("agent", request.agent)
    problems.text("agent.display_name", request.agent.display_name, DISPLAY_NAME_MAX)
    problems.scopes("agent.scopes", request.agent.scopes)
    problems.check()


def _check_token(request: CreateAgentTokenRequest) -> None:
    problems = Problems()
    problems.not_writable("agent_token", request.agent_token)
    problems.scopes("agent_token.scopes", request.agent_token.scopes)
    problems.check()


async def _issue(
    connection: Connection, caller: Caller, agent: AgentRecord, request: CreateAgentTokenRequest
) -> AgentToken:
    wanted, field = request.agent_token, "agent_token.scopes"
    foreign = [scope for scope in wanted.scopes if not covers(frozenset(agent.scopes), scope)]
    if foreign:
        raise InvalidArgumentError.of([Violation(field, f"agents/{agent.name} lacks {', '.join(foreign)}")])
    require_cover(caller, wanted.scopes or agent.scopes)
    token = NewToken.make()
    record = await identity.create_token(
        connection,
        project=caller.project,
        agent=agent.name,
        token=token,
        scopes=wanted.scopes,
        expire_time=moment_of(wanted.expire_time) if wanted.HasField("expire_time") else None,
        issuer=caller.token_name,
    )
    if record is None:
        raise InvalidArgumentError.of([Violation("agent_token.expire_time", "must lie in the future")])
    return to_token(agent.name, record, token.text)
