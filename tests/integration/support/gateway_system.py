"""A gateway on a real database with real scheduler and engine services, all in this process."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from gateway.recording.denials import Denials
from gateway.server import Gateway, open_gateway
from gateway.settings import GatewaySettings
from ordinaut.clock import ProcessClock
from ordinaut.internal.v1.pipeline_engine_service_pb2_grpc import add_PipelineEngineServiceServicer_to_server
from ordinaut.internal.v1.scheduler_service_pb2_grpc import add_SchedulerServiceServicer_to_server
from ordinaut.limits import MAX_INTERNAL_MESSAGE_BYTES
from ordinaut.rpc.server import Registration, Server, internal_guard
from ordinaut.rpc.service_process import Process
from ordinaut.rpc.status import DETAILS_KEY
from ordinaut.store import identity
from ordinaut.store.database import Database
from ordinaut.v1 import (
    agent_service_pb2_grpc,
    approval_service_pb2_grpc,
    audit_service_pb2_grpc,
    event_service_pb2_grpc,
    project_service_pb2_grpc,
    run_service_pb2_grpc,
    state_service_pb2_grpc,
    system_service_pb2_grpc,
    task_service_pb2_grpc,
    tool_service_pb2_grpc,
)
from ordinaut.v1.agent_pb2 import Agent
from ordinaut.v1.agent_service_pb2 import CreateAgentRequest, CreateAgentTokenRequest
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import GetRunRequest, WatchRunRequest
from ordinaut.v1.task_pb2 import Task
from pipeline_engine.data.data_keys import DataKeys
from pipeline_engine.processes.checks import Checks
from pipeline_engine.service import PipelineEngineService
from pipeline_engine.stream.plan_cache import PlanCache
from pipeline_engine.stream.run_start import EngineContext
from pipeline_engine.tools.egress import Egress, parse_rules
from pipeline_engine.tools.http import HttpTools
from scheduler.service import SchedulerService
from tests.integration.support.thread_pool import ThreadPool
from tests.patience import PATIENCE
from worker.settings import WorkerSettings
from worker.worker import Worker

TOKEN = "between processes"
KEYS = DataKeys.generated()
STUBS = {
    "agents": agent_service_pb2_grpc.AgentServiceStub,
    "approvals": approval_service_pb2_grpc.ApprovalServiceStub,
    "audit": audit_service_pb2_grpc.AuditServiceStub,
    "events": event_service_pb2_grpc.EventServiceStub,
    "projects": project_service_pb2_grpc.ProjectServiceStub,
    "runs": run_service_pb2_grpc.RunServiceStub,
    "state": state_service_pb2_grpc.StateServiceStub,
    "system": system_service_pb2_grpc.SystemServiceStub,
    "tasks": task_service_pb2_grpc.TaskServiceStub,
    "tools": tool_service_pb2_grpc.ToolServiceStub,
}


class Caller:
    """An agent's view of the gateway: `await caller.tasks.GetTask(...)`."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        self.token = token
        for name, stub in STUBS.items():
            setattr(self, name, _Calls(stub(channel), token))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class _Calls:
    def __init__(self, stub: Any, token: str) -> None:
        self._stub = stub
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def __getattr__(self, method: str) -> Any:
        def call(request: Any, timeout: float = PATIENCE) -> Any:
            return getattr(self._stub, method)(request, timeout=timeout, metadata=self._metadata)

        return call


@dataclass
class GatewaySystem:
    """The gateway under test; `admin` is the first project's."""

    gateway: Gateway
    database: Database
    channel: grpc.aio.Channel
    admin: Caller
    scheduler: Server
    engine: Server
    port: int
    engine_port: int

    @property
    def denials(self) -> Denials:
        """The refused calls that the gateway has counted."""
        return self.gateway.denials

    def caller(self, token: str) -> Caller:
        """Whoever shows `token`."""
        return Caller(self.channel, token)

    async def agent(self, name: str, *scopes: str) -> Caller:
        """A new agent of the first project."""
        await self.admin.agents.CreateAgent(CreateAgentRequest(agent_id=name, agent=Agent(scopes=scopes)))
        token = await self.admin.agents.CreateAgentToken(CreateAgentTokenRequest(parent=f"agents/{name}"))
        return self.caller(token.secret)

    async def project(self, name: str) -> Caller:
        """The admin of a new project."""
        async with self.database.connection() as connection:
            return self.caller(await identity.create_project(connection, name))

    async def operator(self) -> Caller:
        """An operator of the installation."""
        async with self.database.transaction() as connection:
            return self.caller(await identity.create_operator_token(connection))


@asynccontextmanager
async def gateway_system(database_url: str, *, egress: str = "", **more: Any) -> AsyncIterator[GatewaySystem]:
    """Everything started on free ports, and stopped at the end; `egress` opens addresses, `more` is for the gateway."""
    async with AsyncExitStack() as stack:
        scheduler = await _serve(stack, _scheduler())
        tools = HttpTools(Egress(parse_rules(egress)), connections=16)
        stack.push_async_callback(tools.close)
        engine = await _serve(stack, _engine(tools))
        settings = GatewaySettings(
            database_url=database_url,
            internal_token=TOKEN,
            scheduler_address=f"127.0.0.1:{scheduler[1]}",
            engine_addresses=f"127.0.0.1:{engine[1]}",
            **more,
        )
        database = await Database.open(settings)
        stack.push_async_callback(database.close)
        async with database.connection() as connection:
            token = await identity.create_project(connection, "default")
        process = Process(stack, asyncio.Event())
        gateway = await open_gateway(process, settings)
        port = await gateway.listen("127.0.0.1:0")
        stack.push_async_callback(gateway.server.stop, 0)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        yield GatewaySystem(
            gateway, database, channel, Caller(channel, token), scheduler[0], engine[0], port, engine[1]
        )
    assert process.failure is None


@asynccontextmanager
async def working(system: GatewaySystem, database_url: str) -> AsyncIterator[None]:
    """A worker on the system's engine."""
    settings = WorkerSettings(
        database_url=database_url, engine_addresses=f"127.0.0.1:{system.engine_port}", internal_token=TOKEN
    )
    worker = Worker(system.database, settings)
    await worker.start("127.0.0.1:0")
    try:
        yield
    finally:
        await worker.stop()


async def finished(caller: Caller, name: str) -> Run:
    """The run in view FULL once it has ended."""
    async for _ in caller.runs.WatchRun(WatchRunRequest(name=name)):
        pass
    run: Run = await caller.runs.GetRun(GetRunRequest(name=name))
    return run


async def _serve(stack: AsyncExitStack, registration: Registration) -> tuple[Server, int]:
    server = Server([registration], internal_guard(TOKEN), max_message_bytes=MAX_INTERNAL_MESSAGE_BYTES)
    port = await server.start("127.0.0.1:0")
    stack.push_async_callback(server.stop, 0)
    return server, port


def _scheduler() -> Registration:
    return Registration(
        add_SchedulerServiceServicer_to_server, SchedulerService(), "ordinaut.internal.v1.SchedulerService"
    )


def _engine(tools: HttpTools) -> Registration:
    checks, keys = Checks(ThreadPool, KEYS), KEYS
    context = EngineContext(PlanCache(), tools, checks, ProcessClock(), lambda _key: 0.5, keys=keys)
    service = PipelineEngineService(context, checks, 10)
    return Registration(
        add_PipelineEngineServiceServicer_to_server, service, "ordinaut.internal.v1.PipelineEngineService"
    )


def a_task(**fields: Any) -> Task:
    """A task that needs nothing, with `fields` in place of its own."""
    document: dict[str, Any] = {
        "pipeline": {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"x": "${params.x}"}}]},
        "params": {"x": 1},
    }
    return json_format.ParseDict(document | fields, Task())


@dataclass(frozen=True)
class Refusal:
    """What a failed call says."""

    code: str
    reason: str
    metadata: dict[str, str]
    fields: list[str]
    retry: bool
    fixes: int


async def refusal(call: Any) -> Refusal:
    """The error of a call, which must fail with exactly one ErrorInfo."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as failure:
        return _decoded(failure)
    raise AssertionError("the call succeeded")


def _decoded(failure: grpc.aio.AioRpcError) -> Refusal:
    trailing: Sequence[tuple[str, Any]] = tuple(failure.trailing_metadata() or ())
    details = [value for key, value in trailing if key == DETAILS_KEY]
    assert len(details) == 1, failure
    status = status_pb2.Status.FromString(details[0])
    infos, bad, retry, fixes = [], error_details_pb2.BadRequest(), False, 0
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info)
        detail.Unpack(bad)
        retry = retry or detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)
        fixes += detail.type_url.endswith("ordinaut.v1.Fix")
    assert len(infos) == 1
    assert infos[0].domain == "ordinaut"
    assert infos[0].reason in ErrorReason.keys()  # noqa: SIM118 - it is no mapping
    fields = [violation.field for violation in bad.field_violations]
    return Refusal(failure.code().name, infos[0].reason, dict(infos[0].metadata), fields, retry, fixes)
