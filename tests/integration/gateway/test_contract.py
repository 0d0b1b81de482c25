"""Every public method keeps the contract's rules: implemented, scoped, routed, closed to whoever may not."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import grpc
import pytest
import pytest_asyncio
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from gateway.authentication.authenticator import OPERATOR, SELF, method_scopes
from gateway.services import DESCRIPTORS
from ordinaut.v1 import task_service_pb2
from ordinaut.v1.options_pb2 import scope as scope_option
from ordinaut.v1.run_service_pb2 import GetRunRequest
from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.v1.state_service_pb2 import PutStateEntryRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from tests.integration.support.gateway_system import Caller, GatewaySystem, Refusal, a_task, gateway_system, refusal

METHODS = [method for service in DESCRIPTORS for method in service.methods]
GARBAGE = f"ord_{'0' * 16}_{'0' * 64}"
STUB_OF = {
    "AgentService": "agents",
    "ApprovalService": "approvals",
    "AuditService": "audit",
    "EventService": "events",
    "ProjectService": "projects",
    "RunService": "runs",
    "StateService": "state",
    "SystemService": "system",
    "TaskService": "tasks",
    "ToolService": "tools",
}
APPROVAL = "01a208f2-7e21-7792-beb8-3ec69593a833"
ASKED = """
INSERT INTO approval (id, project, run, step, task, task_name, owner, depth, tool, hash, message, choices, editable,
  assignees, allow_self, state, create_time)
VALUES ($1, 'default', new_id(), 'ask', new_id(), 'theirs', 'agents/owner', 0, '', '', '?', '{approve}', '{}',
  '{}', false, 'PENDING', clock_now())
"""
TOOL = {"http": {"url": "http://example.com/"}}
# A well-formed request for a resource of another owner; RUN is replaced by the name of its run.
REQUESTS: dict[str, dict[str, Any]] = {
    "GetAgent": {"name": "agents/owner"},
    "UpdateAgent": {"agent": {"name": "agents/owner", "display_name": "x"}},
    "DeleteAgent": {"name": "agents/owner"},
    "ListAgentTokens": {"parent": "agents/owner"},
    "CreateAgentToken": {"parent": "agents/owner"},
    "RevokeAgentToken": {"name": "agents/owner/tokens/0123456789abcdef"},
    "CreateAgent": {"agent_id": "fresh"},
    "GetTask": {"name": "tasks/theirs"},
    "CreateTask": {"task_id": "fresh", "task": {"pipeline": {"steps": []}}},
    "UpdateTask": {"task": {"name": "tasks/theirs", "description": "x"}},
    "DeleteTask": {"name": "tasks/theirs"},
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
    "GetTool": {"name": "tools/their.tool"},
    "UpdateTool": {"tool": {"name": "tools/their.tool", "description": "x"}},
    "DeleteTool": {"name": "tools/their.tool"},
    "CallTool": {"name": "tools/their.tool"},
    "CreateTool": {"tool_id": "fresh.tool", "tool": TOOL},
    "GetStateEntry": {"name": "state/notes/theirs"},
    "PutStateEntry": {"entry": {"name": "state/notes/theirs", "value": 1}, "revision": 7},
    "DeleteStateEntry": {"name": "state/notes/theirs"},
    "ListStateEntries": {"parent": "state/notes"},
    "PublishEvent": {"event": {"topic": "a.b"}},
}
PRIVATE = {
    "GetTask",
    "UpdateTask",
    "DeleteTask",
    "PauseTask",
    "ResumeTask",
    "RunTask",
    "SimulateTask",
    "ExplainOccurrence",
    "SkipOccurrence",
    "SnoozeTask",
    "CreateBackfill",
    "GetBackfill",
    "ListBackfills",
    "CancelBackfill",
    "GetRun",
    "ListRunSteps",
    "WatchRun",
    "CancelRun",
    "RetryRun",
    "ReplayRun",
    "SimulateRun",
    "ListRuns",
    "GetApproval",
    "AnswerApproval",
}
SHARED = {
    "GetAgent",
    "UpdateAgent",
    "DeleteAgent",
    "ListAgentTokens",
    "CreateAgentToken",
    "RevokeAgentToken",
    "GetTool",
    "UpdateTool",
    "DeleteTool",
    "CallTool",
    "GetStateEntry",
    "DeleteStateEntry",
}


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


def method_id(method: MethodDescriptor) -> str:
    return str(method.name)


def call(system: GatewaySystem, caller: Caller, method: MethodDescriptor, run: str = "runs/RUN") -> Any:
    """The method called with its example request."""
    request = GetMessageClass(method.input_type)()
    fields = {name: run if item == "RUN" else item for name, item in REQUESTS.get(method.name, {}).items()}
    ParseDict(fields, request)
    return getattr(getattr(caller, STUB_OF[method.containing_service.name]), method.name)(request)


async def outcome(started: Any) -> str:
    """The code of a call, that of its first answer for a stream."""
    try:
        if hasattr(started, "__aiter__"):
            await anext(aiter(started))
        else:
            await started
    except grpc.aio.AioRpcError as failure:
        return str(failure.code().name)
    return "OK"


async def theirs(system: GatewaySystem) -> str:
    """Resources of the agent `owner`; the name of a run."""
    everything = [f"{noun}:{verb}" for noun in ("tasks", "runs", "tools", "state") for verb in ("read", "write")]
    owner = await system.agent("owner", "tasks:run", *everything)
    await owner.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="theirs"))
    tool = ParseDict({"tool_id": "their.tool", "tool": TOOL}, CreateToolRequest())
    await owner.tools.CreateTool(tool)
    entry = ParseDict({"name": "state/notes/theirs", "value": 1}, StateEntry())
    await owner.state.PutStateEntry(PutStateEntryRequest(entry=entry))
    run = await owner.tasks.RunTask(RunTaskRequest(name="tasks/theirs"))
    async with system.database.connection() as connection:
        await connection.execute(ASKED, UUID(APPROVAL))
    return str(run.name)


@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_a_method_declares_its_scope_and_route(method: MethodDescriptor) -> None:
    """Nothing public without both."""
    options = method.GetOptions()
    scope = options.Extensions[scope_option]
    assert scope == SELF or scope.split(":")[0] in {
        "tasks",
        "runs",
        "events",
        "tools",
        "state",
        "agents",
        "system",
        "approvals",
        "admin",
        OPERATOR,
        "audit",
    }
    assert options.Extensions[annotations_pb2.http].WhichOneof("pattern")


def test_a_method_without_scope_prevents_the_start() -> None:
    """The guard could not tell who may call it."""
    from google.protobuf import descriptor_pb2, descriptor_pool  # noqa: PLC0415 - beside its only use

    file = descriptor_pb2.FileDescriptorProto(name="bare.proto", package="bare", syntax="proto3")
    file.message_type.add(name="Nothing")
    service = file.service.add(name="BareService")
    service.method.add(name="Do", input_type=".bare.Nothing", output_type=".bare.Nothing")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    with pytest.raises(RuntimeError, match=r"/bare\.BareService/Do"):
        method_scopes([pool.FindServiceByName("bare.BareService")])


async def test_every_method_requires_a_valid_token(system: GatewaySystem) -> None:
    """No token and a wrong one give the same answer, unary and streaming alike, before anything is looked at."""
    for method in METHODS:
        answers = [await refusal(call(system, system.caller(token), method)) for token in ("", GARBAGE, "x")]
        assert answers == [Refusal("UNAUTHENTICATED", "TOKEN_INVALID", {}, [], False, 0)] * 3, method.full_name


async def test_every_method_requires_its_scope(system: GatewaySystem) -> None:
    """A token with every scope but the method's learns which one it lacks."""
    scopes = set(method_scopes(DESCRIPTORS).values()) - {SELF, OPERATOR, "admin"}
    for number, lacking in enumerate(sorted(scopes)):
        caller = await system.agent(f"lacking-{number}", *sorted(scopes - {lacking}))
        for method in METHODS:
            if method.GetOptions().Extensions[scope_option] == lacking:
                refused = await refusal(call(system, caller, method))
                assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "MISSING_SCOPE"), method.full_name
                assert refused.metadata["scopes"] == lacking


async def test_another_owners_tasks_and_runs_do_not_exist(system: GatewaySystem) -> None:
    """The answer is the one for a name that nobody has."""
    run = await theirs(system)
    nouns = ("tasks", "runs", "approvals")
    scopes = [f"{noun}:{verb}" for noun in nouns for verb in ("read", "write")]
    other = await system.agent("other", "tasks:run", *scopes)
    for method in METHODS:
        if method.name in PRIVATE:
            refused = await refusal(call(system, other, method, run))
            assert (refused.code, refused.reason) == ("NOT_FOUND", "RESOURCE_NOT_FOUND"), method.full_name
    assert not (await other.tasks.ListTasks(task_service_pb2.ListTasksRequest())).tasks
    assert (await system.admin.runs.GetRun(GetRunRequest(name=run))).name == run


async def test_another_projects_resources_do_not_exist(system: GatewaySystem) -> None:
    """Not even for its admin."""
    run = await theirs(system)
    stranger = await system.project("elsewhere")
    for method in METHODS:
        if method.name in PRIVATE | SHARED:
            refused = await refusal(call(system, stranger, method, run))
            assert (refused.code, refused.reason) == ("NOT_FOUND", "RESOURCE_NOT_FOUND"), method.full_name


async def test_every_method_is_implemented(system: GatewaySystem) -> None:
    """And answers an admin's empty request with an answer or a readable refusal, never with a defect."""
    bounded, operator = 0.5, await system.operator()
    for method in METHODS:
        request = GetMessageClass(method.input_type)()
        caller = operator if method.GetOptions().Extensions[scope_option] == OPERATOR else system.admin
        stub = getattr(caller, STUB_OF[method.containing_service.name])
        started = getattr(stub, method.name)(request, timeout=bounded if method.server_streaming else 10.0)
        assert await outcome(started) in {"OK", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED"}, method.full_name


async def test_garbage_bytes_are_refused(system: GatewaySystem) -> None:
    """INVALID_ARGUMENT, with the reason."""
    metadata = (("authorization", f"Bearer {system.admin.token}"),)
    raw: Any = system.channel.unary_unary("/ordinaut.v1.TaskService/GetTask")
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await raw(b"\xff\xff\xff", metadata=metadata, timeout=10)
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT
