"""Every method, called by everybody: the admin, the owner, another agent, a narrow token, another project, nobody.

The methods come from the descriptors: a new one is in the matrix, and fails here until it has an example.
"""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import grpc
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from gateway.authentication.authenticator import OPERATOR, SELF, method_scopes
from gateway.services import DESCRIPTORS
from ordinaut.v1.agent_pb2 import AgentToken
from ordinaut.v1.agent_service_pb2 import CreateAgentTokenRequest
from ordinaut.v1.options_pb2 import scope as scope_option
from tests.integration.support.gateway_system import Caller, GatewaySystem, gateway_system
from tests.security.methods import METHODS, STUB_OF

SCOPES = sorted(set(method_scopes(DESCRIPTORS).values()) - {SELF, OPERATOR, "admin"})
APPROVAL = "01a208f2-7e21-7792-beb8-3ec69593a833"
ASKED = """
INSERT INTO approval (id, project, run, step, task, task_name, owner, depth, tool, hash, message, choices, editable,
  assignees, allow_self, state, create_time)
VALUES ($1, 'default', new_id(), 'ask', new_id(), 'theirs', 'agents/owner', 0, '', '', '?', '{approve}', '{}',
  '{}', true, 'PENDING', clock_now())
"""
STEPS = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"x": 1}}]}
TOOL = {"http": {"url": "http://example.com/"}}
# Requests that name something of the agent `owner`. RUN and TOKEN are replaced by names.
PRIVATE: dict[str, dict[str, Any]] = {
    "GetTask": {"name": "tasks/theirs"},
    "UpdateTask": {"task": {"name": "tasks/theirs", "description": "x"}},
    "PauseTask": {"name": "tasks/theirs"},
    "ResumeTask": {"name": "tasks/theirs"},
    "RunTask": {"name": "tasks/theirs"},
    "SimulateTask": {"name": "tasks/theirs"},
    "ExplainOccurrence": {"name": "tasks/theirs"},
    "SkipOccurrence": {"name": "tasks/theirs", "occurrence": "20991025T003000Z"},
    "SnoozeTask": {"name": "tasks/theirs", "delay": "60s"},
    "CreateBackfill": {"parent": "tasks/theirs", "backfill": {"after_time": "2026-01-01T00:00:00Z"}},
    "GetBackfill": {"name": "tasks/theirs/backfills/again"},
    "ListBackfills": {"parent": "tasks/theirs"},
    "CancelBackfill": {"name": "tasks/theirs/backfills/again"},
    "ListOccurrences": {"parent": "tasks/theirs"},
    "GetRun": {"name": "RUN"},
    "ListRunSteps": {"parent": "RUN"},
    "WatchRun": {"name": "RUN"},
    "CancelRun": {"name": "RUN"},
    "RetryRun": {"name": "RUN"},
    "ReplayRun": {"name": "RUN"},
    "SimulateRun": {"task": "tasks/theirs"},
    "ListRuns": {"task": "tasks/theirs"},
    "GetApproval": {"name": f"approvals/{APPROVAL}"},
    "AnswerApproval": {"name": f"approvals/{APPROVAL}", "choice": "approve"},
    "DeleteTask": {"name": "tasks/theirs"},
}
# Shared in the project: changed by their owner and admins only.
OWNED: dict[str, dict[str, Any]] = {
    "UpdateTool": {"tool": {"name": "tools/their.tool", "description": "x"}},
    "UpdateAgent": {"agent": {"name": "agents/owner", "display_name": "x"}},
    "CreateAgentToken": {"parent": "agents/owner"},
    "RotateAgentToken": {"name": "TOKEN"},
    "RevokeAgentToken": {"name": "TOKEN"},
    "DeleteTool": {"name": "tools/their.tool"},
    "DeleteAgent": {"name": "agents/owner"},
}
SHARED: dict[str, dict[str, Any]] = {
    "GetTool": {"name": "tools/their.tool"},
    "CallTool": {"name": "tools/their.tool"},
    "GetAgent": {"name": "agents/owner"},
    "ListAgentTokens": {"parent": "agents/owner"},
    "GetStateEntry": {"name": "state/notes/theirs"},
    "DeleteStateEntry": {"name": "state/notes/theirs"},
}
# Lists, and what is created in the caller's own name.
OPEN: dict[str, dict[str, Any]] = {
    "CreateAgent": {"agent_id": "fresh"},
    "CreateTask": {"task_id": "fresh", "task": {"pipeline": STEPS}},
    "BatchCreateTasks": {"requests": [{"task": {"pipeline": STEPS}}]},
    "ValidateTask": {"task": {"pipeline": STEPS}},
    "CreateRun": {"pipeline": STEPS},
    "CreateTool": {"tool_id": "fresh.tool", "tool": TOOL},
    "PutStateEntry": {"entry": {"name": "state/own/key", "value": 1}},
    "ListStateEntries": {"parent": "state/notes"},
    "PublishEvent": {"event": {"topic": "a.b"}},
    "BatchPublishEvents": {"requests": [{"event": {"topic": "a.b"}}]},
    "DraftTask": {"text": "steps: [{id: a, uses: orchestrator.set, with: {x: 1}}]"},
    "GetTaskSchema": {},
    "PreviewSchedule": {"schedule": {"triggers": [{"interval": "60s"}]}},
    "ExplainSchedule": {"schedule": {"triggers": [{"interval": "60s"}]}},
    **{name: {} for name in (
        "ListTasks", "ListTools", "ListAgents", "ListApprovals", "ListEvents", "WatchEvents", "GetStatus",
        "ListWorkers", "WhoAmI", "ListAuditRecords", "ExportAuditRecords", "VerifyAudit",
    )},
}  # fmt: skip
# For admins of the project, and for operators of the installation.
ADMINS: dict[str, dict[str, Any]] = {"EraseSubject": {"subject": "ann@example.org"}}
OPERATORS: dict[str, dict[str, Any]] = {
    "CreateProject": {"project_id": "fresh"},
    "ListProjects": {},
    "GetProject": {"name": "projects/default"},
    "ExportProject": {"name": "projects/default"},
    "DeleteProject": {"name": "projects/default"},
}
EXAMPLES = PRIVATE | OWNED | SHARED | OPEN | ADMINS | OPERATORS
ENDLESS = {"WatchEvents": 0.5, "CallTool": 3.0}
"""Calls that are accepted and then wait, for an event or for a worker, and after how many seconds they are ended."""
REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND"}


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


class Matrix:
    """The resources of `owner`, and how each caller's calls about them end."""

    def __init__(self, system: GatewaySystem, owner: Caller, names: dict[str, str]) -> None:
        self.system = system
        self.owner = owner
        self._names = names

    async def answer(self, caller: Caller, name: str) -> str:
        """The code of a call with the example of the method; of a stream, of its first message."""
        method, fields = METHODS[name], EXAMPLES[name]
        request = GetMessageClass(method.input_type)()
        ParseDict({key: self._names.get(str(value), value) for key, value in fields.items()}, request)
        service = getattr(caller, STUB_OF[method.containing_service.name])
        endless = name in ENDLESS
        started = getattr(service, name)(request, **({"timeout": ENDLESS[name]} if endless else {}))
        try:
            if method.server_streaming:
                await anext(aiter(started))
            else:
                await started
        except grpc.aio.AioRpcError as failure:
            return "OK" if endless and failure.code() == grpc.StatusCode.DEADLINE_EXCEEDED else failure.code().name
        return "OK"


@pytest_asyncio.fixture
async def matrix(system: GatewaySystem) -> Matrix:
    owner = await system.agent("owner", *SCOPES, "secrets:use")
    names = {"RUN": "runs/RUN", "TOKEN": "agents/owner/tokens/" + owner.token.split("_")[1]}
    made = Matrix(system, owner, names)
    requests: dict[str, tuple[Any, dict[str, Any]]] = {
        "CreateTask": (owner.tasks, {"task_id": "theirs", "task": {"pipeline": STEPS}}),
        "CreateTool": (owner.tools, {"tool_id": "their.tool", "tool": TOOL}),
        "PutStateEntry": (owner.state, {"entry": {"name": "state/notes/theirs", "value": 1}}),
        "RunTask": (owner.tasks, {"name": "tasks/theirs"}),
    }
    for name, (service, fields) in requests.items():
        response = await getattr(service, name)(ParseDict(fields, GetMessageClass(METHODS[name].input_type)()))
        names["RUN"] = response.name
    async with system.database.connection() as connection:
        await connection.execute(ASKED, UUID(APPROVAL))
    return made


def scope_of(method: MethodDescriptor) -> str:
    return str(method.GetOptions().Extensions[scope_option])


def test_every_method_has_an_example() -> None:
    assert METHODS.keys() == EXAMPLES.keys()


async def test_without_a_token_nothing_is_answered(matrix: Matrix) -> None:
    for name in METHODS:
        assert await matrix.answer(matrix.system.caller(""), name) == "UNAUTHENTICATED", name


async def test_a_narrow_token_reaches_one_noun(matrix: Matrix) -> None:
    """A token of the owner that may only read one namespace of the state: every other method is refused."""
    wish = AgentToken(scopes=["state:read:nothing"])
    request = CreateAgentTokenRequest(parent="agents/owner", agent_token=wish)
    narrow = matrix.system.caller((await matrix.owner.agents.CreateAgentToken(request)).secret)
    for name, method in METHODS.items():
        expected = "OK" if scope_of(method) == SELF else "PERMISSION_DENIED"
        assert await matrix.answer(narrow, name) == expected, name


async def test_another_agent_sees_what_is_shared(matrix: Matrix) -> None:
    """With every scope of a method, without being an admin."""
    other = await matrix.system.agent("other", *SCOPES)
    for name in METHODS:
        answer = await matrix.answer(other, name)
        if name in PRIVATE:
            assert answer == "NOT_FOUND", name
        elif name in OWNED | ADMINS | OPERATORS:
            assert answer == "PERMISSION_DENIED", name
        elif name != "DeleteStateEntry":
            assert answer not in REFUSED, name


async def test_another_project_sees_nothing(matrix: Matrix) -> None:
    """Not even its admin."""
    stranger = await matrix.system.project("elsewhere")
    for name in METHODS:
        expected = "OK" if name in OPEN | ADMINS else "PERMISSION_DENIED" if name in OPERATORS else "NOT_FOUND"
        assert await matrix.answer(stranger, name) == expected, name


async def test_operators_are_not_refused(matrix: Matrix) -> None:
    operator = await matrix.system.operator()
    for name in OPERATORS:
        assert await matrix.answer(matrix.system.admin, name) == "PERMISSION_DENIED", name
        assert await matrix.answer(operator, name) == "OK", name


async def test_the_owner_and_the_admin_are_not_refused(matrix: Matrix) -> None:
    """In the order of the examples: deletions are last."""
    missing = {"GetBackfill", "CancelBackfill", "SkipOccurrence"}
    ends = {"RotateAgentToken", "RevokeAgentToken", "DeleteAgent", "DeleteTask", "DeleteTool", "DeleteStateEntry"}
    names = [name for name in (PRIVATE | OWNED | SHARED | OPEN) if name not in missing | {"CallTool"}]
    for name in [name for name in names if name not in ends]:
        assert await matrix.answer(matrix.owner, name) not in REFUSED, name
        assert await matrix.answer(matrix.system.admin, name) not in REFUSED, name
    for name in ADMINS:
        assert await matrix.answer(matrix.owner, name) == "PERMISSION_DENIED", name
        assert await matrix.answer(matrix.system.admin, name) == "OK", name
    for name in sorted(ends, key=names.index):
        assert await matrix.answer(matrix.system.admin, name) not in REFUSED, name
