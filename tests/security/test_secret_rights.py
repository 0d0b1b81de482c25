"""A secret goes only where its binding and the rights of the owner of the tool permit it, and rights end in time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.audit import service as audit_service
from gateway.authentication import authenticator
from ordinaut.store import audit as audit_store
from ordinaut.store import event, identity
from ordinaut.store.audit import AuditEntry
from ordinaut.store.projects import export
from ordinaut.store.projects.export import ExportedRow
from ordinaut.store.sql import Connection
from ordinaut.v1.agent_pb2 import Agent
from ordinaut.v1.agent_service_pb2 import CreateAgentRequest, DeleteAgentRequest, UpdateAgentRequest
from ordinaut.v1.approval_service_pb2 import ListApprovalsRequest
from ordinaut.v1.audit_service_pb2 import ExportAuditRecordsRequest
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import PublishEventRequest, WatchEventsRequest
from ordinaut.v1.project_service_pb2 import ExportProjectRequest
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest, ListRunsRequest, WatchRunRequest
from ordinaut.v1.system_service_pb2 import GetStatusRequest, ListWorkersRequest
from ordinaut.v1.tool_service_pb2 import CallToolRequest, CreateToolRequest
from scheduler.maintenance.audit_seal import AuditSeal
from tests.integration.support.gateway_system import Caller, GatewaySystem, finished, gateway_system, refusal, working
from tests.patience import PATIENCE

ENDS_SECONDS = 5.0


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


async def with_scopes(system: GatewaySystem, name: str, *scopes: str) -> None:
    agent = Agent(name=f"agents/{name}", scopes=scopes)
    await system.admin.agents.UpdateAgent(UpdateAgentRequest(agent=agent, update_mask=FieldMask(paths=["scopes"])))


def sending_tool(tool_id: str, **more: Any) -> CreateToolRequest:
    http = {"url": "http://127.0.0.1:9/x", "auth": {"bearer": {"secret": "mail_key"}}, **more}
    return json_format.ParseDict({"tool": {"http": http}, "tool_id": tool_id}, CreateToolRequest())


async def called(caller: Caller, tool: str) -> Run:
    document = {"pipeline": {"version": 1, "steps": [{"id": "a", "uses": tool, "with": {}, "retry": {"max": 0}}]}}
    run = await caller.runs.CreateRun(json_format.ParseDict(document, CreateRunRequest()))
    return await finished(caller, run.name)


async def test_a_tool_loses_its_secret_with_the_right_of_its_owner(system: GatewaySystem, database_url: str) -> None:
    """At the next claim, for every caller, and also when the owner is deleted; it returns with the right."""
    owner = await system.agent("owner", "tools:write", "secrets:use:mail_*")
    await owner.tools.CreateTool(sending_tool("mail"))
    caller = await system.agent("caller", "runs:write", "runs:read", "tools:call")
    async with working(system, database_url):
        for scopes, reason in (
            (("tools:write", "secrets:use:mail_key"), "SECRET_UNAVAILABLE"),  # this engine has no secrets
            (("tools:write", "secrets:use:bank_*"), "SECRET_REVOKED"),
            (("tools:write",), "SECRET_REVOKED"),
            (("tools:write", "secrets:use"), "SECRET_UNAVAILABLE"),
        ):
            await with_scopes(system, "owner", *scopes)
            run = await called(caller, "mail")
            assert (run.error.code, run.error.details["reason"]) == ("DENIED", reason)
        await system.admin.agents.DeleteAgent(DeleteAgentRequest(name="agents/owner"))
        run = await called(caller, "mail")
        assert run.error.details["reason"] == "SECRET_REVOKED"


async def ended_in(stream: Any) -> tuple[str, float]:
    """The reason with which a stream or call ends, and after how many seconds."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    async with asyncio.timeout(PATIENCE):
        refused = await refusal(stream)
    return refused.reason, loop.time() - start


WAITING = {"pipeline": {"version": 1, "steps": [{"id": "a", "uses": "orchestrator.wait", "with": {"for": "1h"}}]}}


async def test_watches_end_with_the_scope(system: GatewaySystem) -> None:
    """All of them, with the token still valid."""
    scopes = ("runs:write", "runs:read", "events:read", "tools:call")
    caller = await system.agent("watcher", *scopes)
    run = await caller.runs.CreateRun(json_format.ParseDict(WAITING, CreateRunRequest()))
    arguments = json_format.ParseDict({"name": "tools/orchestrator.wait", "input": {"for": "1h"}}, CallToolRequest())
    watches = [
        caller.runs.WatchRun(WatchRunRequest(name=run.name)),
        caller.events.WatchEvents(WatchEventsRequest()),
        caller.tools.CallTool(arguments),
    ]
    ends = [asyncio.create_task(ended_in(watch)) for watch in watches]
    await asyncio.sleep(1)  # they have begun: the first answer of an idle watch has no signal
    await with_scopes(system, "watcher", "runs:write")
    for reason, seconds in await asyncio.gather(*ends):
        assert reason == "MISSING_SCOPE"
        assert seconds < 1 + ENDS_SECONDS


async def test_a_watch_shows_no_topic_that_may_no_longer_be_read(
    system: GatewaySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(authenticator, "RECHECK_SECONDS", 0.0)
    caller = await system.agent("watcher", "events:read:a.*", "events:read:b.*")
    stream = caller.events.WatchEvents(WatchEventsRequest(after_position=0))
    await with_scopes(system, "watcher", "events:read:b.*")
    for topic in ("a.secret", "b.open"):
        await system.admin.events.PublishEvent(PublishEventRequest(event=Event(topic=topic)))
    async with system.database.transaction() as connection:
        await event.number(connection)
    async with asyncio.timeout(PATIENCE):
        async for answer in stream:
            assert answer.event.topic != "a.secret"
            if answer.event.topic == "b.open":
                break


async def test_an_export_ends_with_the_scope(system: GatewaySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle: a slow client would get the rest of a long one without the right."""
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(authenticator, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(audit_service, "EXPORT_BATCH", 1)
    auditor = await system.agent("auditor", "audit:read", "runs:read")
    await AuditSeal(system.database).run_once()
    read = audit_store.export

    async def narrowed_after_the_first(connection: Connection, **range_: Any) -> list[AuditEntry]:
        if range_["after"] == 1:
            await with_scopes(system, "auditor", "runs:read")
        return await read(connection, **range_)

    monkeypatch.setattr(audit_store, "export", narrowed_after_the_first)
    answers = []

    async def received() -> None:
        async for answer in auditor.audit.ExportAuditRecords(ExportAuditRecordsRequest()):
            answers.append(answer)  # noqa: PERF401 - those before the refusal

    assert (await refusal(received())).reason == "MISSING_SCOPE"
    assert len(answers) == 1


async def test_an_export_of_a_project_ends_with_the_token(
    system: GatewaySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    monkeypatch.setattr(authenticator, "RECHECK_SECONDS", 0.0)
    operator, read = await system.operator(), export.rows

    async def revoked_after_the_first(connection: Connection, project: str) -> AsyncGenerator[ExportedRow, None]:
        async for row in read(connection, project):
            yield row
            async with system.database.transaction() as other:
                public_id = operator.token.split("_")[1]
                await identity.revoke_token(other, project="_", agent="admin", public_id=public_id)

    monkeypatch.setattr(export, "rows", revoked_after_the_first)
    answers = []

    async def received() -> None:
        async for answer in operator.projects.ExportProject(ExportProjectRequest(name="projects/default")):
            answers.append(answer)  # noqa: PERF401 - those before the refusal

    assert (await refusal(received())).code == "UNAUTHENTICATED"
    assert len(answers) == 1


async def test_an_agent_inherits_nothing_from_one_with_its_name(system: GatewaySystem) -> None:
    caller = await system.agent("worker", "runs:write", "runs:read")
    await system.agent("unused", "runs:read")
    run = await caller.runs.CreateRun(json_format.ParseDict(WAITING, CreateRunRequest()))
    for name in ("worker", "unused"):
        await system.admin.agents.DeleteAgent(DeleteAgentRequest(name=f"agents/{name}"))
    again = CreateAgentRequest(agent_id="worker", agent=Agent(scopes=["runs:read"]))
    refused = await refusal(system.admin.agents.CreateAgent(again))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "RESERVED")
    await system.agent("unused", "runs:read")
    async with system.database.connection() as connection:
        await connection.execute("DELETE FROM due_work WHERE id = $1::uuid", run.name.removeprefix("runs/"))
    successor = await system.agent("worker", "runs:read", "approvals:read")
    assert not (await successor.runs.ListRuns(ListRunsRequest())).runs
    assert not (await successor.approvals.ListApprovals(ListApprovalsRequest())).approvals


async def test_an_admin_sees_the_figures_of_its_own_project(system: GatewaySystem, database_url: str) -> None:
    await system.admin.runs.CreateRun(json_format.ParseDict(WAITING, CreateRunRequest()))
    own = await system.admin.system.GetStatus(GetStatusRequest())
    other = await system.project("other")
    async with working(system, database_url):
        status = await other.system.GetStatus(GetStatusRequest())
        workers = (await other.system.ListWorkers(ListWorkersRequest())).workers
        assert sum(own.due_work.values()) == 1
        assert (sum(status.due_work.values()), status.last_position, status.outbox_backlog) == (0, 0, 0)
        assert status.workers == 1
        assert {(worker.host, worker.address, worker.leased_runs) for worker in workers} == {("", "", 0)}
    refused = await refusal(other.events.WatchEvents(WatchEventsRequest(after_position=10**6)))
    assert (refused.metadata["first_position"], refused.metadata["last_position"]) == ("0", "0")
