"""UpdateAgent and DeleteAgent: who changes an agent has all its rights, before and after, and is somebody else."""

from google.protobuf.empty_pb2 import Empty

from gateway.agents.conversion import agent_etag, require_cover, to_agent
from gateway.api.field_masks import apply, masked_paths
from gateway.api.idempotency import Mutation
from gateway.api.violations import DISPLAY_NAME_MAX, Problems, output_only
from gateway.authentication.caller import Caller
from ordinaut.errors import AbortedError, FailedPreconditionError, NotFoundError, PermissionDeniedError
from ordinaut.names import covers
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.store.identity import AgentRecord
from ordinaut.store.sql import Connection
from ordinaut.v1.agent_pb2 import Agent
from ordinaut.v1.agent_service_pb2 import DeleteAgentRequest, UpdateAgentRequest
from ordinaut.v1.error_pb2 import ErrorReason


class AgentChanges:
    """UpdateAgent and DeleteAgent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def update(self, request: UpdateAgentRequest, caller: Caller, name: str) -> Agent:
        """Applies the masked changes; running work reads the rights anew.

        Raises:
            AbortedError: ETAG_MISMATCH.
            PermissionDeniedError: MISSING_SCOPE; RESERVED: it would take away the caller's own rights.
        """
        mutation = Mutation(self._database, request, Agent)
        if (answer := await mutation.earlier()) is not None:
            return answer
        problems = Problems()
        paths = masked_paths(problems, request.agent, request.update_mask)
        problems.text("agent.display_name", request.agent.display_name, DISPLAY_NAME_MAX)
        problems.scopes("agent.scopes", request.agent.scopes)

        async def work(connection: Connection) -> Agent:
            stored = await _locked(connection, caller, name, request.agent.etag)
            current = to_agent(stored)
            if not request.update_mask.paths:
                same = {
                    field for field in output_only(current) if getattr(request.agent, field) == getattr(current, field)
                }
                problems.not_writable("agent", request.agent, but=frozenset(same))
            problems.check()
            wanted = apply(current, request.agent, paths)
            require_cover(caller, wanted.scopes)
            if name == caller.agent and not _keeps(stored, wanted):
                raise _oneself("take away its own rights")
            record = await identity.update_agent(
                connection,
                project=caller.project,
                name=name,
                display_name=wanted.display_name,
                scopes=wanted.scopes,
            )
            return to_agent(record)

        return await mutation.once(work)

    async def delete(self, request: DeleteAgentRequest, caller: Caller, name: str) -> Empty:
        """Removes an agent that owns no tasks, with its tokens.

        Raises:
            FailedPreconditionError: AGENT_OWNS_TASKS.
        """
        mutation = Mutation(self._database, request, Empty)
        if (answer := await mutation.earlier()) is not None:
            return answer

        async def work(connection: Connection) -> Empty:
            await _locked(connection, caller, name, request.etag)
            if name == caller.agent:
                raise _oneself("delete itself")
            if owned := await identity.owned_tasks(connection, project=caller.project, name=name):
                raise FailedPreconditionError(
                    ErrorReason.AGENT_OWNS_TASKS,
                    f"agents/{name} owns {owned} tasks; delete them first",
                    {"resource": f"agents/{name}", "tasks": owned},
                )
            await identity.delete_agent(connection, project=caller.project, name=name)
            return Empty()

        return await mutation.once(work)


async def _locked(connection: Connection, caller: Caller, name: str, etag: str) -> AgentRecord:
    stored = await identity.lock_agent(connection, caller.project, name)
    if stored is None:
        raise NotFoundError.of(f"agents/{name}")
    require_cover(caller, stored.scopes)
    if etag and etag != agent_etag(stored):
        raise AbortedError(
            ErrorReason.ETAG_MISMATCH,
            f"agents/{name} has changed since; read it again and repeat the change",
            {"resource": f"agents/{name}", "etag": agent_etag(stored)},
        )
    return stored


def _keeps(stored: AgentRecord, wanted: Agent) -> bool:
    return all(covers(frozenset(wanted.scopes), scope) for scope in stored.scopes)


def _oneself(what: str) -> PermissionDeniedError:
    return PermissionDeniedError(ErrorReason.RESERVED, f"an agent cannot {what}; somebody else with its rights can")
