"""Every change and every refused call is recorded: who, with which token, from where, before and after."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass

from gateway.authentication import authenticator
from gateway.recording import denials
from gateway.recording.record import NOT_RECORDED
from ordinaut.errors import UnavailableError
from ordinaut.store import audit
from ordinaut.v1.agent_pb2 import AgentToken
from ordinaut.v1.agent_service_pb2 import CreateAgentTokenRequest, GetAgentRequest, UpdateAgentRequest
from ordinaut.v1.approval_service_pb2 import ListApprovalsRequest
from ordinaut.v1.audit_pb2 import AuditRecord
from ordinaut.v1.audit_service_pb2 import ListAuditRecordsRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, DeleteTaskRequest, GetTaskRequest, PauseTaskRequest
from tests.integration.support.gateway_system import Caller, GatewaySystem, a_task, gateway_system, refusal, working
from tests.security.methods import METHODS, STUB_OF

CHANGES = {name for name, method in METHODS.items() if "request_id" in method.input_type.fields_by_name}
HOURLY = {"schedule": {"triggers": [{"interval": "3600s"}]}}
STEPS = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"x": 1}}]}
ASKING = {"steps": [{"id": "a", "uses": "orchestrator.request_approval", "with": {"message": "?", "allow_self": True}}]}
TOOL = {"http": {"url": "http://example.com/"}}
LATER = {"start_time": "2099-01-01T00:00:00Z"}


@pytest_asyncio.fixture
async def system(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewaySystem]:
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    async with gateway_system(database_url) as started, working(started, database_url):
        yield started


async def records(caller: Caller, condition: str = "") -> list[AuditRecord]:
    """The newest records, oldest first."""
    answer = await caller.audit.ListAuditRecords(ListAuditRecordsRequest(page_size=1000, filter=condition))
    return list(reversed(answer.audit_records))


def patch(record: AuditRecord) -> tuple[Any, Any]:
    fields = MessageToDict(record, preserving_proto_field_name=True)
    return fields.get("before"), fields.get("after")


class Changes:
    """Calls methods by name as the admin, and remembers which record each has left."""

    def __init__(self, system: GatewaySystem) -> None:
        self.system = system
        self.written: dict[str, list[AuditRecord]] = {}

    async def make(self, name: str, /, **fields: Any) -> Any:
        method = METHODS[name]
        before = len(await records(self.system.admin))
        request = ParseDict(fields, GetMessageClass(method.input_type)())
        service = getattr(self.system.admin, STUB_OF[method.containing_service.name])
        response = await getattr(service, name)(request)
        self.written.setdefault(name, []).extend((await records(self.system.admin))[before:])
        return response


async def every_change(changes: Changes) -> None:
    """Each method that changes something, at least once."""
    await changes.make("CreateAgent", agent_id="bot", agent={"scopes": ["tasks:read"]})
    await changes.make("UpdateAgent", agent={"name": "agents/bot", "display_name": "x"})
    token = await changes.make("CreateAgentToken", parent="agents/bot")
    await changes.make("RotateAgentToken", name=token.name)
    await changes.make("RevokeAgentToken", name=token.name)
    await changes.make("DeleteAgent", name="agents/bot")
    await changes.make("CreateTool", tool_id="my.tool", tool=TOOL)
    await changes.make("UpdateTool", tool={"name": "tools/my.tool", "description": "x"})
    await changes.make("DeleteTool", name="tools/my.tool")
    await changes.make("CallTool", name="tools/orchestrator.set", input={"x": 1})
    await every_change_of_tasks(changes)
    run = await changes.make("CreateRun", pipeline=STEPS, **LATER)
    await changes.make("CancelRun", name=run.name)
    await changes.make("RetryRun", name=run.name)
    await changes.make("CreateRun", pipeline=ASKING)
    while not (asked := await changes.system.admin.approvals.ListApprovals(ListApprovalsRequest())).approvals:
        continue
    await changes.make("AnswerApproval", name=asked.approvals[0].name, choice="approve")


async def every_change_of_tasks(changes: Changes) -> None:
    await changes.make("CreateTask", task_id="t", task={"pipeline": STEPS, **HOURLY})
    await changes.make("BatchCreateTasks", requests=[{"task_id": f"b{n}", "task": {"pipeline": STEPS}} for n in "12"])
    await changes.make("UpdateTask", task={"name": "tasks/t", "description": "x"})
    await changes.make("RunTask", name="tasks/t")
    await changes.make("RunTask", name="tasks/t", request_id="once", **LATER)
    upcoming = (await changes.system.admin.tasks.GetTask(GetTaskRequest(name="tasks/t"))).upcoming
    await changes.make("SkipOccurrence", name="tasks/t", occurrence=upcoming[1].id)
    async with changes.system.database.connection() as connection:
        await connection.execute(
            "UPDATE schedule_cursor SET next_instant = $1, next_fire_time = $1, next_key = 'k', next_trigger = ''"
            " WHERE next_fire_time IS NULL",
            upcoming[0].fire_time.ToDatetime(UTC),
        )
    await changes.make("SnoozeTask", name="tasks/t", delay="60s")
    await changes.make("PauseTask", name="tasks/t", reason="holidays")
    await changes.make("ResumeTask", name="tasks/t")
    past = {"after_time": (datetime.now(UTC) - timedelta(hours=5)).isoformat()}
    backfill = await changes.make("CreateBackfill", parent="tasks/t", backfill=past)
    await changes.make("CancelBackfill", name=backfill.name)
    await changes.make("DeleteTask", name="tasks/t")


async def test_every_method_that_changes_something_writes_a_record(system: GatewaySystem) -> None:
    """One for each resource, in the same transaction; a method is one of these if it takes a request_id."""
    changes = Changes(system)
    await every_change(changes)
    assert changes.written.keys() == CHANGES - NOT_RECORDED
    token = system.admin.token.split("_")[1]
    for name, written in changes.written.items():
        expected = {"BatchCreateTasks": 2, "RunTask": 2, "CreateRun": 2}.get(name, 1)
        assert len(written) == expected, name
        for record in written:
            assert (record.method, record.outcome, record.agent) == (name, AuditRecord.DONE, "agents/admin")
            assert record.token == f"agents/admin/tokens/{token}"
            assert record.address == "127.0.0.1"
            assert record.user_agent.startswith("grpc-python")
            assert record.resource, name
            assert record.HasField("before") or record.HasField("after"), name
            had_before = name.startswith(("Update", "Delete", "Revoke", "Rotate", "Pause", "Resume", "Answer"))
            assert record.HasField("before") or not had_before, name


async def test_events_and_state_are_not_recorded(system: GatewaySystem) -> None:
    changes = Changes(system)
    await changes.make("PublishEvent", event={"topic": "a.b"})
    await changes.make("BatchPublishEvents", requests=[{"event": {"topic": "a.b"}}])
    await changes.make("PutStateEntry", entry={"name": "state/n/k", "value": 1})
    await changes.make("DeleteStateEntry", name="state/n/k")
    assert changes.written == {name: [] for name in sorted(NOT_RECORDED)}


async def test_a_record_has_both_patches(system: GatewaySystem) -> None:
    admin = system.admin
    await admin.tasks.CreateTask(CreateTaskRequest(task=a_task(labels={"a": "1"}), task_id="t"))
    await admin.tasks.PauseTask(PauseTaskRequest(name="tasks/t", reason="holidays", request_id="r1"))
    await admin.tasks.PauseTask(PauseTaskRequest(name="tasks/t", reason="holidays", request_id="r1"))  # no change
    created, paused = await records(admin, 'resource = "tasks/t"')
    assert patch(created)[0] is None
    assert patch(created)[1]["labels"] == {"a": "1"}
    assert (paused.request_id, paused.reason) == ("r1", "holidays")
    before, after = patch(paused)
    assert (before["state"], after["state"]) == ("ACTIVE", "PAUSED")
    assert "pipeline" not in after


async def test_a_refused_change_leaves_no_record_of_a_change(system: GatewaySystem) -> None:
    """The record is part of the transaction, which is rolled back."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="t"))
    await refusal(system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="t")))
    assert len(await records(system.admin, 'resource = "tasks/t"')) == 1


async def test_secrets_are_not_recorded(system: GatewaySystem) -> None:
    params = {"x": 1, "api_key": "k-123", "url": "https://me:pw-123@host/", "note": f"use {system.admin.token}"}
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(params=params), task_id="t"))
    token = await system.admin.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/admin"))
    async with system.database.connection() as connection:
        texts = " ".join(row["body"] for row in await connection.fetch("SELECT body FROM audit"))
    for secret in ("k-123", "pw-123", system.admin.token, token.secret):
        assert secret not in texts
    assert '"api_key":"***"' in texts


async def test_a_large_change_is_hashed(system: GatewaySystem) -> None:
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(params={"x": "y" * 20_000}), task_id="t"))
    [created] = await records(system.admin, 'resource = "tasks/t"')
    assert set(patch(created)[1]) == {"sha256", "bytes"}


async def test_an_issued_token_names_its_issuers(system: GatewaySystem) -> None:
    maker = await system.agent("maker", "agents:write", "tasks:write")
    request = CreateAgentTokenRequest(parent="agents/maker", agent_token=AgentToken(scopes=["tasks:write"]))
    made = system.caller((await maker.agents.CreateAgentToken(request)).secret)
    await made.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="t"))
    [created] = await records(system.admin, 'resource = "tasks/t"')
    assert list(created.issuers) == ["agents/admin", "agents/maker"]
    agent = await system.admin.agents.GetAgent(GetAgentRequest(name="agents/maker"))
    assert (created.agent, created.agent_uid) == ("agents/maker", agent.uid)


async def test_refused_calls_are_counted(system: GatewaySystem) -> None:
    """The first five a minute in full, the others of the minute in one record."""
    narrow = await system.agent("narrow", "state:read")
    for number in range(12):
        await refusal(narrow.tasks.PauseTask(PauseTaskRequest(name=f"tasks/t{number}", request_id=f"r{number}")))
    await refusal(narrow.agents.UpdateAgent(UpdateAgentRequest()))
    await system.denials.flush(all_windows=True)
    denied = await records(system.admin, "outcome = DENIED")
    kinds = [(record.method, record.resource, record.count, record.reason) for record in denied]
    in_full = [("PauseTask", f"tasks/t{number}", 1, "MISSING_SCOPE") for number in range(5)]
    assert kinds == [*in_full, ("UpdateAgent", "", 1, "MISSING_SCOPE"), ("PauseTask", "", 7, "MISSING_SCOPE")]
    assert {(record.agent, record.address) for record in denied} == {("agents/narrow", "127.0.0.1")}


async def test_calls_without_a_valid_token_are_recorded_by_address(
    system: GatewaySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the project `_`; a limited number of addresses is distinguished."""
    monkeypatch.setattr(denials, "KEYS_MAX", 1)
    for token in ["", "ord1_wrong"] * 4:
        await refusal(system.caller(token).tasks.GetTask(GetTaskRequest(name="tasks/t")))
    for _ in range(6):
        await refusal(system.caller("").tasks.PauseTask(PauseTaskRequest(name="tasks/t")))
    await system.denials.flush(all_windows=True)
    async with system.database.connection() as connection:
        rows = await connection.fetch("SELECT body FROM audit WHERE project = '_' ORDER BY id")
    bodies = [json.loads(row["body"]) for row in rows]
    assert {(body["agent"], body["reason"]) for body in bodies} == {("", "TOKEN_INVALID")}
    counts = [(body["method"], body["address"] == denials.OTHERS, body["count"]) for body in bodies]
    in_full = [("GetTask", False, 1)] * 5 + [("PauseTask", False, 1)] * 5
    assert counts == [*in_full, ("GetTask", False, 3), ("PauseTask", True, 1)]
    assert not await records(system.admin, "outcome = DENIED")


async def test_a_record_cannot_be_changed(system: GatewaySystem) -> None:
    """Nor its seal; only the functions of retention and erasure do."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="t"))
    async with system.database.connection() as connection:
        for statement in (
            "UPDATE audit SET body = '{}'", "DELETE FROM audit", "TRUNCATE audit", "TRUNCATE audit_seal",
        ):  # fmt: skip
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only added"):
                await connection.execute(statement)


async def test_another_project_sees_none_of_it(system: GatewaySystem) -> None:
    stranger = await system.project("elsewhere")
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=Task(pipeline=a_task().pipeline), task_id="t"))
    assert [record.method for record in await records(stranger)] == ["project create"]


def test_every_change_takes_a_request_id() -> None:
    """Methods whose name says that they change something; this is what makes them recorded."""
    reading = "Get|List|Watch|Draft|Validate|Preview|Explain|Simulate|Replay|WhoAmI|Export|Verify"
    assert {name for name in METHODS if not re.match(reading, name)} == CHANGES


async def test_hostile_texts_are_recorded(system: GatewaySystem) -> None:
    """A refused request is recorded before its values are checked: NUL, long texts, tokens in the wrong place."""
    narrow = await system.agent("narrow", "state:read")
    texts = ["a\0b", "\\u0000", "x" * 100_000, system.admin.token, '"}\n', "\u202e"]
    for text in texts[:5]:
        await refusal(narrow.tasks.PauseTask(PauseTaskRequest(name=text, request_id=text)))
    await refusal(narrow.tasks.DeleteTask(DeleteTaskRequest(name=texts[5])))
    await system.denials.flush(all_windows=True)
    denied = await records(system.admin, "outcome = DENIED")
    names = ["a\ufffdb", "\\u0000", "x" * 600, "***", '"}\n', "\u202e"]
    assert [record.resource for record in denied] == names


async def test_an_outage_of_the_store_keeps_a_bounded_number_of_refusals(
    system: GatewaySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = await system.agent("narrow", "state:read")
    monkeypatch.setattr(denials, "PENDING_MAX", 3)

    async def unreachable(*_: Any) -> None:
        raise OSError("unreachable")

    with monkeypatch.context() as outage:
        outage.setattr(audit, "write", unreachable)
        for _ in range(5):
            await refusal(narrow.tasks.PauseTask(PauseTaskRequest(name="tasks/t")))
        with pytest.raises(UnavailableError):
            await system.denials.flush()
    await system.denials.flush()
    assert len(await records(system.admin, "outcome = DENIED")) == 3
