"""UpdateAgent and DeleteAgent.

The caller must have every scope that the agent has before and after the change. An agent cannot reduce its own scopes
or delete itself.
"""

from google.protobuf.empty_pb2 import Empty

from gateway.agents.conversion import (
    DEFAULT_MIN_PRIORITY,
    agent_etag,
    require_authority,
    require_min_priority,
    require_scopes,
    to_agent,
)
from gateway.agents.trigger_rights import deny_triggers
from gateway.api.errors import etag_mismatch
from gateway.api.field_masks import apply, masked_paths, refuse_output_fields
from gateway.api.idempotency import Mutation
from gateway.api.violations import DISPLAY_NAME_MAX, Problems
from gateway.authentication.caller import Caller
from ordinaut.errors import FailedPreconditionError, NotFoundError, PermissionDeniedError
from ordinaut.names import covers
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.store.identity import AgentRecord
from ordinaut.store.sql import Connection
from ordinaut.v1.agent_pb2 import Agent
from ordinaut.v1.agent_service_pb2 import DeleteAgentRequest, UpdateAgentRequest
from ordinaut.v1.error_pb2 import ErrorReason


class AgentChanges:
    """Implements UpdateAgent and DeleteAgent."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def update(self, request: UpdateAgentRequest, caller: Caller, name: str) -> Agent:
        """Applies the masked changes; running work uses the new rights.

        Raises:
            AbortedError: ETAG_MISMATCH.
            PermissionDeniedError: MISSING_SCOPE; RESERVED: the caller would reduce its scopes.
        """
        mutation = Mutation(self._database, request, Agent)
        if (response := await mutation.stored_response()) is not None:
            return response
        problems = Problems()
        paths = masked_paths(problems, request.agent, request.update_mask)
        problems.text("agent.display_name", request.agent.display_name, DISPLAY_NAME_MAX)
        problems.scopes("agent.scopes", request.agent.scopes)
        problems.between("agent.min_priority", request.agent.min_priority, 0, 9)

        async def work(connection: Connection) -> Agent:
            stored = await _locked(connection, caller, name, request.agent.etag)
            current = to_agent(stored)
            mutation.replaces(current)
            if not request.update_mask.paths:
                refuse_output_fields(problems, "agent", request.agent, current, frozenset())
            problems.check()
            changed = apply(current, request.agent, paths)
            require_scopes(caller, changed.scopes)
            min_priority = changed.min_priority or DEFAULT_MIN_PRIORITY
            if min_priority < stored.min_priority:
                require_min_priority(caller, min_priority)
            if name == caller.agent and not _has_all_scopes(changed, stored):
                raise _not_on_itself("reduce its own scopes")
            record = await identity.update_agent(
                connection,
                project=caller.project,
                name=name,
                display_name=changed.display_name,
                scopes=changed.scopes,
                min_priority=min_priority,
            )
            await deny_triggers(connection, project=caller.project, owner=f"agents/{name}", scopes=changed.scopes)
            return to_agent(record)

        return await mutation.execute(work)

    async def delete(self, request: DeleteAgentRequest, caller: Caller, name: str) -> Empty:
        """Deletes an agent that owns no tasks, with its tokens.

        Raises:
            FailedPreconditionError: AGENT_OWNS_TASKS.
        """
        mutation = Mutation(self._database, request, Empty)
        if (response := await mutation.stored_response()) is not None:
            return response

        async def work(connection: Connection) -> Empty:
            mutation.replaces(to_agent(await _locked(connection, caller, name, request.etag)))
            if name == caller.agent:
                raise _not_on_itself("delete itself")
            if tasks := await identity.owned_tasks(connection, project=caller.project, name=name):
                raise FailedPreconditionError(
                    ErrorReason.AGENT_OWNS_TASKS,
                    f"agents/{name} must own no tasks (owns {tasks}); delete them first",
                    {"resource": f"agents/{name}", "tasks": tasks},
                )
            await identity.delete_agent(connection, project=caller.project, name=name)
            return Empty()

        return await mutation.execute(work)


async def _locked(connection: Connection, caller: Caller, name: str, etag: str) -> AgentRecord:
    stored = await identity.lock_agent(connection, caller.project, name)
    if stored is None:
        raise NotFoundError.of(f"agents/{name}")
    await require_authority(connection, caller, name)
    require_scopes(caller, stored.scopes)
    if etag and etag != agent_etag(stored):
        raise etag_mismatch(f"agents/{name}", agent_etag(stored))
    return stored


def _has_all_scopes(changed: Agent, stored: AgentRecord) -> bool:
    return all(covers(frozenset(changed.scopes), scope) for scope in stored.scopes)


def _not_on_itself(action: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        ErrorReason.RESERVED, f"an agent cannot {action}; another agent with the same scopes can"
    )
