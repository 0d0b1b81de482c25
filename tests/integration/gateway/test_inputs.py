"""What bad input gets: for each kind a request, and the code, reason and field of its answer."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from gateway.services import DESCRIPTORS
from ordinaut.v1.event_service_pb2 import PublishEventRequest
from ordinaut.v1.state_service_pb2 import PutStateEntryRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, ListTasksRequest, PauseTaskRequest, RunTaskRequest
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import GatewaySystem, Refusal, a_task, gateway_system, refusal
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")
METHODS = {method.name: method for service in DESCRIPTORS for method in service.methods}
STEP = {"id": "a", "uses": "orchestrator.set", "with": {"x": 1}}
MINUTELY = {"triggers": [{"cron": "* * * * *"}], "time_zone": "UTC"}
DAY = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-02T00:00:00Z"}
LONG = "x" * 10_000
RUN = "runs/01a208f2-7e21-7792-beb8-3ec69593a833"


@dataclass(frozen=True)
class Row:
    """One kind of bad input, and what it gets."""

    says: str
    method: str
    request: dict[str, Any]
    reason: str
    field: str = ""
    code: str = "INVALID_ARGUMENT"


def task(**fields: Any) -> dict[str, Any]:
    """A CreateTask request whose task is fine but for `fields`."""
    return {"task_id": "fresh", "task": {"pipeline": {"steps": [STEP]}, **fields}}


def steps(*documents: dict[str, Any]) -> dict[str, Any]:
    """A CreateTask request with these steps."""
    return task(pipeline={"steps": list(documents)})


def event(**fields: Any) -> dict[str, Any]:
    """A PublishEvent request whose event is fine but for `fields`."""
    return {"event": {"topic": "a.b", **fields}}


def simulation(**fields: Any) -> dict[str, Any]:
    """A SimulateTask request which is fine but for `fields`."""
    return {"task": {"schedule": MINUTELY}, "start_time": "2026-01-01T00:00:00Z", **fields}


def entry(value: Any) -> dict[str, Any]:
    """A PutStateEntry request."""
    return {"entry": {"name": "state/a/b", "value": value}}


def mocked(**mock: Any) -> dict[str, Any]:
    """A SimulateRun request with one mock."""
    return {"task": "tasks/one", "mocks": [mock]}


def backfill(**fields: Any) -> dict[str, Any]:
    """A CreateBackfill request for the task that is due every minute."""
    return {"parent": "tasks/one", "backfill": fields}


PAST = {"after_time": "2026-01-01T00:00:00Z"}
ROWS = [
    Row("2^53 is too large for JSON", "PutStateEntry", entry(2**53), "INTEGER_PRECISION", "entry.value"),
    Row("2^60 may be rounded", "PublishEvent", event(data={"x": 2.0**60}), "INTEGER_PRECISION", "event.data.x"),
    Row("NUL in a value", "PutStateEntry", entry("a\0b"), "NUL_CHARACTER", "entry.value"),
    Row("NUL in a name", "GetTask", {"name": "tasks/a\0"}, "NUL_CHARACTER", "name"),
    Row("NUL in a key", "PublishEvent", event(data={"a\0": 1}), "NUL_CHARACTER", "event.data['a\\x00']"),
    Row("an enum value that does not exist", "ListRuns", {"states": [99]}, "FIELD_INVALID", "states[0]"),
    Row("an empty name", "GetTask", {"name": ""}, "NAME_INVALID", "name"),
    Row("a name of 10 kB", "GetTask", {"name": "tasks/" + LONG}, "NAME_INVALID", "name"),
    Row("an id of 10 kB", "CreateTask", {**task(), "task_id": LONG}, "NAME_INVALID", "task_id"),
    Row("an id of spaces", "CreateTask", {**task(), "task_id": "  "}, "NAME_INVALID", "task_id"),
    Row("a blank display name", "CreateTask", task(display_name="   "), "FIELD_INVALID", "task.display_name"),
    Row("a display name of 10 kB", "CreateTask", task(display_name=LONG), "TOO_LARGE", "task.display_name"),
    Row("text that turns around", "CreateTask", task(display_name="a\u202eb"), "FIELD_INVALID", "task.display_name"),
    Row("invisible text", "CreateTask", task(display_name="a\u200bb"), "FIELD_INVALID", "task.display_name"),
    Row("control characters", "CreateTask", task(display_name="a\x1b[31m"), "FIELD_INVALID", "task.display_name"),
    Row("SQL in a name", "GetTask", {"name": "tasks/a' OR 1=1 --"}, "NAME_INVALID", "name"),
    Row("a path in a name", "GetTask", {"name": "tasks/..%2fagents"}, "NAME_INVALID", "name"),
    Row("a name of another kind", "GetTask", {"name": "agents/admin"}, "NAME_INVALID", "name"),
    Row("a run id that is no UUID", "GetRun", {"name": "runs/1"}, "NAME_INVALID", "name"),
    Row("a run id in capitals", "GetRun", {"name": RUN.upper().replace("RUNS", "runs")}, "NAME_INVALID", "name"),
    Row("a UUID of nothing", "GetRun", {"name": RUN}, "RESOURCE_NOT_FOUND", code="NOT_FOUND"),
    Row("an approval that is no UUID", "GetApproval", {"name": "approvals/1"}, "NAME_INVALID", "name"),
    Row("an answer to nothing", "AnswerApproval", {"name": RUN.replace("runs", "approvals"), "choice": "approve"},
        "RESOURCE_NOT_FOUND", code="NOT_FOUND"),
    Row("approvals of a run that is none", "ListApprovals", {"run": "runs/1"}, "NAME_INVALID", "run"),
    Row("approvals of nobody", "ListApprovals", {"assignee": "tasks/x"}, "NAME_INVALID", "assignee"),
    Row("approvals in no state", "ListApprovals", {"states": [99]}, "FIELD_INVALID", "states[0]"),
    Row("approvals by what they are not", "ListApprovals", {"filter": "colour = red"}, "FIELD_INVALID", "filter"),
    Row("a negative page", "ListTasks", {"page_size": -1}, "FIELD_INVALID", "page_size"),
    Row("a page token of nobody", "ListTasks", {"page_token": "AAAA"}, "PAGE_TOKEN_INVALID", "page_token"),
    Row("a page token that is no base64", "ListRuns", {"page_token": "\u00fc"}, "PAGE_TOKEN_INVALID", "page_token"),
    Row("a request id of 10 kB", "CreateTask", {**task(), "request_id": LONG}, "TOO_LARGE", "request_id"),
    Row("100 001 steps", "CreateTask", steps(*[{}] * 100_001), "TOO_MANY_STEPS", "task.pipeline.steps"),
    Row("no steps", "CreateTask", steps(), "FIELD_REQUIRED", "task.pipeline.steps"),
    Row("a step twice", "CreateTask", steps(STEP, STEP), "DUPLICATE_STEP", "task.pipeline.steps[1].id"),
    Row("a step without id", "CreateTask", steps({**STEP, "id": ""}), "INVALID_PIPELINE", "task.pipeline.steps[0].id"),
    Row("a step id with dots", "CreateTask", steps({**STEP, "id": "a.b"}), "INVALID_PIPELINE",
        "task.pipeline.steps[0].id"),
    Row("a step id from Python", "CreateTask", steps({**STEP, "id": "__class__"}), "INVALID_PIPELINE",
        "task.pipeline.steps[0].id"),
    Row("a reference to itself", "CreateTask", steps({**STEP, "with": {"x": "${steps.a.output}"}}),
        "UNRESOLVED_REFERENCE", "task.pipeline.steps[0].with.x"),
    Row("a reference to later", "CreateTask",
        steps({**STEP, "with": {"x": "${steps.z.output}"}}, {**STEP, "id": "z"}),
        "UNRESOLVED_REFERENCE", "task.pipeline.steps[0].with.x"),
    Row("an unknown tool", "CreateTask", steps({**STEP, "uses": "orchestrator.sett"}), "UNKNOWN_TOOL",
        "task.pipeline.steps[0].uses"),
    Row("10^5 labels", "CreateTask", task(labels={f"k{n}": "v" for n in range(100_000)}), "TOO_LARGE", "task.labels"),
    Row("a label with spaces", "CreateTask", task(labels={"a b": "v"}), "FIELD_INVALID", "task.labels"),
    Row("an owner of one's choice", "CreateTask", task(owner="agents/x"), "FIELD_NOT_WRITABLE", "task.owner"),
    Row("a state of one's choice", "CreateTask", task(state="COMPLETED"), "FIELD_NOT_WRITABLE", "task.state"),
    Row("a position of one's choice", "PublishEvent", event(position=1), "FIELD_NOT_WRITABLE", "event.position"),
    Row("priority 10", "CreateTask", task(run_policy={"priority": 10}), "FIELD_INVALID", "task.run_policy.priority"),
    Row("a timeout of nothing", "CreateTask", task(run_policy={"run_timeout": "0s"}), "FIELD_INVALID",
        "task.run_policy.run_timeout"),
    Row("a start deadline of nothing", "CreateTask", task(run_policy={"start_deadline": "0s"}), "FIELD_INVALID",
        "task.run_policy.start_deadline"),
    Row("a success every moment", "CreateTask", task(run_policy={"expect_success_every": "0.5s"}), "FIELD_INVALID",
        "task.run_policy.expect_success_every"),
    Row("a pause after a million failures", "CreateTask", task(run_policy={"pause_after_failures": 1000000}),
        "FIELD_INVALID", "task.run_policy.pause_after_failures"),
    Row("a timeout of ten years", "CreateTask", task(run_policy={"run_timeout": "315576000s"}), "FIELD_INVALID",
        "task.run_policy.run_timeout"),
    Row("10^9 retries", "CreateTask", task(run_policy={"retry": {"max": 10**9}}), "FIELD_INVALID",
        "task.run_policy.retry.max"),
    Row("an infinite factor", "CreateTask", task(run_policy={"retry": {"factor": "Infinity"}}), "NON_FINITE_NUMBER",
        "task.run_policy.retry.factor"),
    Row("an unknown time zone", "CreateTask", task(schedule={**MINUTELY, "time_zone": "../../etc/passwd"}),
        "UNKNOWN_TIMEZONE", "task.schedule.time_zone"),
    Row("a mask of nothing", "UpdateTask", {"task": {"name": "tasks/one"}, "update_mask": "nope"},
        "FIELD_MASK_INVALID", "update_mask"),
    Row("a mask of the server's", "UpdateTask", {"task": {"name": "tasks/one"}, "update_mask": "owner"},
        "FIELD_MASK_INVALID", "update_mask"),
    Row("a stale etag", "UpdateTask", {"task": {"name": "tasks/one", "etag": '"99"', "description": "x"}},
        "ETAG_MISMATCH", code="ABORTED"),
    Row("resuming what is deleted", "ResumeTask", {"name": "tasks/deleted"}, "RESOURCE_NOT_FOUND", code="NOT_FOUND"),
    Row("a simulation of nothing", "SimulateRun", {}, "FIELD_REQUIRED", "pipeline"),
    Row("a simulation of two things", "SimulateRun", {"task": "tasks/one", "pipeline": {"steps": [STEP]}},
        "FIELD_REQUIRED", "pipeline"),
    Row("a simulation in the year 9999", "SimulateRun", {"task": "tasks/one", "start_time": "9999-01-01T00:00:00Z"},
        "FIELD_INVALID", "start_time"),
    Row("a mock of nothing", "SimulateRun", mocked(output=1), "FIELD_REQUIRED", "mocks[0]"),
    Row("a mock of no path", "SimulateRun", mocked(step="a..b", output=1), "FIELD_INVALID", "mocks[0].step"),
    Row("a mock of attempt 0", "SimulateRun", mocked(step="a", output=1, attempts=[0]), "FIELD_INVALID",
        "mocks[0].attempts[0]"),
    Row("a mock that says nothing", "SimulateRun", mocked(step="a"), "FIELD_REQUIRED", "mocks[0]"),
    Row("a mock of a failure without code", "SimulateRun", mocked(step="a", error={"message": "x"}), "FIELD_REQUIRED",
        "mocks[0].error.code"),
    Row("a mock that takes a century", "SimulateRun", mocked(step="a", duration="3155760000s"), "FIELD_INVALID",
        "mocks[0].duration"),
    Row("10^5 mocks", "SimulateRun", {"task": "tasks/one", "mocks": [{"step": "a"}] * 100_000}, "TOO_LARGE", "mocks"),
    Row("a recording that is none", "SimulateRun", {"task": "tasks/one", "recording": "runs/x"}, "NAME_INVALID",
        "recording"),
    Row("a backfill that begins nowhere", "CreateBackfill", backfill(until_time="2026-01-01T00:00:00Z"),
        "FIELD_REQUIRED", "backfill.after_time"),
    Row("a backfill of the future", "CreateBackfill", backfill(**PAST, until_time="2199-01-01T00:00:00Z"),
        "FIELD_INVALID", "backfill.until_time"),
    Row("a backfill that ends before it begins", "CreateBackfill",
        backfill(**PAST, until_time="2025-01-01T00:00:00Z"), "FIELD_INVALID", "backfill.until_time"),
    Row("a backfill from before all schedules", "CreateBackfill", backfill(after_time="1969-01-01T00:00:00Z"),
        "FIELD_INVALID", "backfill.after_time"),
    Row("a backfill of no moment", "CreateBackfill", backfill(**PAST, until_time="2026-01-01T00:00:30Z"),
        "FIELD_INVALID", "backfill.until_time"),
    Row("a backfill of a million moments", "CreateBackfill",
        backfill(after_time="2024-01-01T00:00:00Z", until_time="2026-01-01T00:00:00Z"), "TOO_LARGE",
        "backfill.until_time"),
    Row("a backfill of a task without a schedule", "CreateBackfill",
        {**backfill(**PAST), "parent": "tasks/bare"}, "FIELD_INVALID", "backfill.until_time"),
    Row("a backfill of a million at a time", "CreateBackfill", backfill(**PAST, parallelism=1_000_000),
        "FIELD_INVALID", "backfill.parallelism"),
    Row("a backfill of no priority", "CreateBackfill", backfill(**PAST, priority=-1), "FIELD_INVALID",
        "backfill.priority"),
    Row("a backfill with large params", "CreateBackfill", backfill(**PAST, params={"x": "y" * 70_000}), "TOO_LARGE",
        "backfill.params"),
    Row("a backfill in a state of one's choice", "CreateBackfill", backfill(**PAST, state="COMPLETED"),
        "FIELD_NOT_WRITABLE", "backfill.state"),
    Row("a backfill of another name", "CreateBackfill", backfill(**PAST, name="tasks/one/backfills/other"),
        "NAME_INVALID", "backfill.name"),
    Row("an id of a backfill with spaces", "CreateBackfill", {**backfill(**PAST), "backfill_id": "a b"},
        "NAME_INVALID", "backfill_id"),
    Row("a backfill without its task", "GetBackfill", {"name": "backfills/again"}, "NAME_INVALID", "name"),
    Row("no such backfill", "GetBackfill", {"name": "tasks/one/backfills/none"}, "RESOURCE_NOT_FOUND",
        code="NOT_FOUND"),
    Row("a preview from the year 1", "PreviewSchedule", {"schedule": MINUTELY, "after_time": "0001-01-01T00:00:00Z"},
        "FIELD_INVALID", "after_time"),
    Row("a preview from the year 2201", "PreviewSchedule",
        {"schedule": MINUTELY, "after_time": "2201-01-01T00:00:00Z"}, "FIELD_INVALID", "after_time"),
    Row("a simulation of nothing", "SimulateTask", {}, "FIELD_REQUIRED", "task"),
    Row("a simulation of ten years", "SimulateTask", simulation(end_time="2036-01-01T00:00:00Z"), "FIELD_INVALID",
        "end_time"),
    Row("a simulation that ends before it begins", "SimulateTask", simulation(end_time="2025-01-01T00:00:00Z"),
        "FIELD_INVALID", "end_time"),
    Row("a simulation from the year 1", "SimulateTask", simulation(start_time="0001-01-01T00:00:00Z"),
        "FIELD_INVALID", "start_time"),
    Row("runs that take no time", "SimulateTask", simulation(run_durations=["1s", "0s"]), "FIELD_INVALID",
        "run_durations[1]"),
    Row("an outage without end", "SimulateTask", simulation(outages=[{"start_time": "2026-01-01T00:00:00Z"}]),
        "FIELD_REQUIRED", "outages[0]"),
    Row("a pause the wrong way round", "SimulateTask",
        simulation(pauses=[{"start_time": "2026-01-02T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"}]),
        "FIELD_INVALID", "pauses[0]"),
    Row("10^4 outages", "SimulateTask", simulation(outages=[DAY] * 10_000), "FIELD_INVALID", "outages"),
    Row("a simulated policy out of bounds", "SimulateTask",
        simulation(task={"schedule": MINUTELY, "run_policy": {"priority": 10}}), "FIELD_INVALID",
        "task.run_policy.priority"),
    Row("a simulated schedule that is none", "SimulateTask",
        simulation(task={"schedule": {"triggers": [{"cron": "* * *"}], "time_zone": "UTC"}}), "INVALID_CRON",
        "task.schedule.triggers[0].cron"),
    Row("an explanation of the year 1", "ExplainOccurrence", {"name": "tasks/one", "time": "0001-01-01T00:00:00Z"},
        "FIELD_INVALID", "time"),
    Row("an explanation in Latin", "ExplainOccurrence", {"name": "tasks/one", "language": "la"}, "FIELD_INVALID",
        "language"),
    Row("a topic with spaces", "PublishEvent", event(topic="a b"), "INVALID_TOPIC", "event.topic"),
    Row("a topic with a wildcard", "PublishEvent", event(topic="a.*"), "INVALID_TOPIC", "event.topic"),
    Row("the topic of all", "PublishEvent", event(topic="*"), "INVALID_TOPIC", "event.topic"),
    Row("a topic of 10 kB", "PublishEvent", event(topic=LONG), "INVALID_TOPIC", "event.topic"),
    Row("a topic of the system's", "PublishEvent", event(topic="ordinaut.run.failed"), "RESERVED",
        code="PERMISSION_DENIED"),
    Row("data of more than 1 MiB", "PublishEvent", event(data={"x": "y" * 1024 * 1024}), "TOO_LARGE", "event.data"),
    Row("a value of more than 1 MiB", "PutStateEntry", entry("y" * 1024 * 1024), "TOO_LARGE", "entry.value"),
    Row("no value", "PutStateEntry", {"entry": {"name": "state/a/b"}}, "FIELD_REQUIRED", "entry.value"),
    Row("a position ahead of the log", "WatchEvents", {"after_position": 10**12}, "POSITION_OUT_OF_RANGE",
        code="OUT_OF_RANGE"),
    Row("a position below the log", "WatchEvents", {"after_position": -1}, "FIELD_INVALID", "after_position"),
    Row("a pattern of the wrong form", "ListEvents", {"topic": "a.>.b"}, "INVALID_TOPIC", "topic"),
    Row("a scope that does not exist", "CreateAgent", {"agent_id": "x", "agent": {"scopes": ["root"]}},
        "FIELD_INVALID", "agent.scopes[0]"),
    Row("a token that has expired before it is made", "CreateAgentToken",
        {"parent": "agents/admin", "agent_token": {"expire_time": "2000-01-01T00:00:00Z"}}, "FIELD_INVALID",
        "agent_token.expire_time"),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str) -> AsyncIterator[GatewaySystem]:
    """One gateway for all of them: none of them changes anything."""
    async with fresh_database(postgres_url) as url, gateway_system(url) as started:
        await started.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(schedule=MINUTELY), task_id="one"))
        await started.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="bare"))
        yield started


async def send(system: GatewaySystem, method_name: str, payload: bytes, **options: Any) -> Refusal:
    """The refusal of raw bytes, shown with the admin's token."""
    method = METHODS[method_name]
    path = f"/{method.containing_service.full_name}/{method.name}"
    metadata = (("authorization", f"Bearer {system.admin.token}"),)
    open_call: Any = system.channel.unary_stream if method.server_streaming else system.channel.unary_unary
    return await refusal(open_call(path)(payload, metadata=metadata, timeout=PATIENCE, **options))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
async def test_invalid_input_is_refused_with_reason_and_field(system: GatewaySystem, row: Row) -> None:
    """With its own code, reason and place; at once where several things are wrong."""
    request = json_format.ParseDict(row.request, GetMessageClass(METHODS[row.method].input_type)())
    refused = await send(system, row.method, request.SerializeToString())
    assert (refused.code, refused.reason) == (row.code, row.reason)
    assert row.field in refused.fields if row.field else not refused.fields


def nested(depth: int) -> bytes:
    """A PublishEvent request whose data are nested `depth` levels deep, in bytes, as no library would write it."""
    value = b""
    for _ in range(depth):  # Value{list_value{values: …}}
        listed = (b"\x0a" + varint(len(value)) + value) if value else b""
        value = b"\x32" + varint(len(listed)) + listed
    entry = b"\x0a\x01x\x12" + varint(len(value)) + value
    struct = b"\x0a" + varint(len(entry)) + entry
    event_bytes = b"\x1a\x03a.b\x3a" + varint(len(struct)) + struct
    return b"\x0a" + varint(len(event_bytes)) + event_bytes


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


async def test_hundreds_of_violations_fit_into_a_response(system: GatewaySystem) -> None:
    """An answer's trailers are bounded by HTTP/2: as many problems as fit are told, and how many there are."""
    bad = {"id": "A B", "uses": "orchestrator.sett", "with": {"x": "${steps.nobody.output.x}"}}
    request = json_format.ParseDict(steps(*[bad] * 300), CreateTaskRequest())
    refused = await send(system, "CreateTask", request.SerializeToString())
    assert refused.code == "INVALID_ARGUMENT"
    assert len(refused.fields) >= 10
    assert len(refused.fields) + int(refused.metadata["violations_omitted"]) == 200


async def test_deeply_nested_messages_are_refused(system: GatewaySystem) -> None:
    """However deep: nothing recurses to death."""
    for depth in (60, 2_000, 100_000):
        refused = await send(system, "PublishEvent", nested(depth))
        assert refused.code == "INVALID_ARGUMENT"
        assert refused.reason in {"MALFORMED_MESSAGE", "JSON_TOO_DEEP"}
    accepted: Any = system.channel.unary_unary("/ordinaut.v1.EventService/PublishEvent")
    metadata = (("authorization", f"Bearer {system.admin.token}"),)
    assert await accepted(nested(20), metadata=metadata, timeout=PATIENCE)


async def test_undecodable_bytes_are_malformed(system: GatewaySystem) -> None:
    """Also where the text inside is no UTF-8."""
    for payload in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xc3\x28", b"\x0a\x03\xed\xa0\x80"):
        refused = await send(system, "GetTask", payload)
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE")


async def raw_code(system: GatewaySystem, path: str, payload: bytes, **options: Any) -> str:
    """The code of a call that grpc itself refuses."""
    call: Any = system.channel.unary_unary(path)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await call(payload, timeout=PATIENCE, **options)
    return str(failure.value.code().name)


async def test_messages_above_the_limit_are_refused(system: GatewaySystem) -> None:
    """Four MiB, counted after decompression: a small message that grows is as large as it gets."""
    path = "/ordinaut.v1.TaskService/GetTask"
    large = b"\x0a" + varint(64 << 20) + bytes(64 << 20)
    assert len(gzip.compress(large)) < 1 << 20
    token = {"metadata": (("authorization", f"Bearer {system.admin.token}"),)}
    assert await raw_code(system, path, large[: 5 << 20], **token) == "RESOURCE_EXHAUSTED"
    assert await raw_code(system, path, large, compression=grpc.Compression.Gzip, **token) == "RESOURCE_EXHAUSTED"
    assert await raw_code(system, path, large[: 5 << 20]) == "UNAUTHENTICATED"


async def test_unknown_methods_are_unimplemented(system: GatewaySystem) -> None:
    """A method, a service, and the services between processes."""
    for path in ("/ordinaut.v1.TaskService/Explode", "/nobody/Nothing", "/ordinaut.internal.v1.SchedulerService/X"):
        assert await raw_code(system, path, b"") == "UNIMPLEMENTED"


async def test_metadata_is_bounded(system: GatewaySystem) -> None:
    """A header of 100 kB, and a thousand headers."""
    path = "/ordinaut.v1.TaskService/GetTask"
    for metadata in ((("x-large", "a" * 100_000),), tuple((f"x-{n}", "a" * 40) for n in range(1_000))):
        assert await raw_code(system, path, b"", metadata=metadata) == "RESOURCE_EXHAUSTED"


async def test_two_tokens_are_refused(system: GatewaySystem) -> None:
    """Nor is another scheme, an empty one, or a token with something behind it."""
    good = f"Bearer {system.admin.token}"
    basic = "Basic YWRtaW46YWRtaW4="
    for shown in ((good, good), (basic,), ("Bearer ",), ("",), (good + " x",), (system.admin.token,)):
        metadata = tuple(("authorization", value) for value in shown)
        assert await raw_code(system, "/ordinaut.v1.TaskService/ListTasks", b"", metadata=metadata) == "UNAUTHENTICATED"


async def test_pausing_is_idempotent(system: GatewaySystem) -> None:
    """The second call answers as the first."""
    first = await system.admin.tasks.PauseTask(PauseTaskRequest(name="tasks/one"))
    assert await system.admin.tasks.PauseTask(PauseTaskRequest(name="tasks/one")) == first


async def test_a_repeated_event_is_stored_once(system: GatewaySystem) -> None:
    """Same source and id: same answer."""
    request = json_format.ParseDict(event(id="1", source="there"), PublishEventRequest())
    first = await system.admin.events.PublishEvent(request)
    assert (await system.admin.events.PublishEvent(request)).name == first.name


async def test_texts_are_stored_unchanged(system: GatewaySystem) -> None:
    """Wildcards of SQL, quotes and joiners are text like any other."""
    value = "100%_ 'quoted' \\ \u0928\u094d\u200d family \U0001f469\u200d\U0001f469"
    stored = await system.admin.state.PutStateEntry(json_format.ParseDict(entry(value), PutStateEntryRequest()))
    assert stored.value.string_value == value


async def test_live_runs_of_a_task_are_limited(postgres_url: str) -> None:
    """At the task's limit of live runs; the answer says what to do."""
    async with fresh_database(postgres_url) as url, gateway_system(url, live_runs_max=20) as system:
        await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
        for _ in range(20):
            await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
        refused = await refusal(system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one")))
        assert (refused.code, refused.reason, refused.retry) == ("RESOURCE_EXHAUSTED", "LIMIT_REACHED", True)
        assert refused.metadata == {"resource": "tasks/one", "limit": "20"}


async def test_invalid_tokens_are_throttled(postgres_url: str) -> None:
    """Many wrong ones from one address are answered with a limit, and later; a good one from there still works."""
    async with fresh_database(postgres_url) as url, gateway_system(url) as system:
        call: Any = system.channel.unary_unary("/ordinaut.v1.TaskService/ListTasks")

        async def guess(number: int) -> str:
            metadata = (("authorization", f"Bearer ord_{number:016x}_{'0' * 64}"),)
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await call(b"", metadata=metadata, timeout=PATIENCE)
            return str(failure.value.code().name)

        assert {await guess(number) for number in range(300)} == {"UNAUTHENTICATED"}
        assert "RESOURCE_EXHAUSTED" in await asyncio.gather(*(guess(number) for number in range(300, 400)))
        assert (await system.agent("late", "tasks:read")).token


async def test_other_protocols_on_the_port_are_disconnected(system: GatewaySystem) -> None:
    """And the next caller is served."""
    for greeting in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 99):
        reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
        writer.write(greeting)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            await reader.read()
        writer.close()
    assert (await system.admin.tasks.ListTasks(ListTasksRequest())).tasks
