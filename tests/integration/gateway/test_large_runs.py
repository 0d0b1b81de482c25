"""Runs of 5 to 30 MB: every method answers with less than the 4 MiB that every client accepts, or names the way."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import grpc
import pytest
import pytest_asyncio

from ordinaut.limits import MAX_MESSAGE_BYTES
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    GetRunRequest,
    ListRunsRequest,
    ListRunStepsRequest,
    ReplayRunRequest,
    RetryRunRequest,
    WatchRunRequest,
)
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from ordinaut.v1.view_pb2 import BASIC, FULL
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal, working
from tests.sample import FULL as WHOLE

pytestmark = pytest.mark.asyncio(loop_scope="module")
TEXT = "x" * 900_000
NUMBERS = [7] * 400_000  # less than 1 MiB of JSON, and several MB as protobuf
FINE = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {}}]}
LARGE: dict[str, dict[str, Any]] = {
    "params": {"params": {"n": NUMBERS}},
    "output": {"output": NUMBERS},
    "event": {"event": {"uid": "e", "topic": "t.x", "source": "", "subject": "", "id": "", "publisher": "", "depth": 0,
                        "data": {"n": NUMBERS}, "create_time": "2026-03-02T12:00:00Z", "position": 1}},
    "steps": {"steps": 6},
    "many steps": {"steps": 30},
    "all": {"params": {"n": NUMBERS}, "output": NUMBERS, "steps": 4},
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str) -> AsyncIterator[GatewaySystem]:
    async with fresh_database(postgres_url) as url, gateway_system(url) as started, working(started, url):
        await started.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(pipeline=FINE, params={}), task_id="large"))
        yield started


async def ended(system: GatewaySystem, state: str, **values: Any) -> str:
    """A run that has ended, with values of this size."""
    started = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/large"))
    async for _ in system.admin.runs.WatchRun(WatchRunRequest(name=started.name)):
        pass
    run_id = UUID(started.name.removeprefix("runs/"))
    async with system.database.connection() as connection:
        await connection.execute("UPDATE run SET state = $2 WHERE id = $1", run_id, state)
        for column in ("params", "output", "event"):
            if column in values:
                text = json.dumps(values[column])
                await connection.execute(f"UPDATE run SET {column} = $2::jsonb WHERE id = $1", run_id, text)
        await connection.execute(
            "INSERT INTO step_run SELECT $1, 'big' || n, 1, 100 + n, 'SUCCEEDED', 't.x', to_jsonb($3::text), "
            "$4::jsonb, NULL, now(), now(), now() FROM generate_series(1, $2::int) AS n",
            run_id, values.get("steps", 0), TEXT, json.dumps(NUMBERS[:20_000]),
        )  # fmt: skip
    return str(started.name)


async def steps_of(system: GatewaySystem, name: str) -> list[StepRun]:
    steps, token = [], ""
    while True:
        page = await system.admin.runs.ListRunSteps(ListRunStepsRequest(parent=name, page_token=token, page_size=1000))
        assert page.ByteSize() <= MAX_MESSAGE_BYTES
        steps += page.steps
        if not (token := page.next_page_token):
            return steps


@pytest.mark.parametrize("kind", LARGE if WHOLE else ["many steps", "all"])
async def test_a_large_run_is_read_watched_and_retried(system: GatewaySystem, kind: str) -> None:
    values = LARGE[kind]
    name = await ended(system, "FAILED", **values)
    basic = await system.admin.runs.GetRun(GetRunRequest(name=name, view=BASIC))
    large_fields = {"params", "output", "event"} & values.keys()
    assert {field.split(".")[0] for field in basic.omitted} <= large_fields
    assert bool(basic.omitted) == bool(large_fields)
    refused = await refusal(system.admin.runs.GetRun(GetRunRequest(name=name, view=FULL)))
    assert (refused.code, refused.reason, refused.metadata["view"]) == ("RESOURCE_EXHAUSTED", "TOO_LARGE", "BASIC")
    assert len([s for s in await steps_of(system, name) if s.path.startswith("big")]) == values.get("steps", 0)
    for view in (BASIC, FULL):
        answers = [answer async for answer in system.admin.runs.WatchRun(WatchRunRequest(name=name, view=view))]
        watched = [step for answer in answers for step in answer.steps if step.path.startswith("big")]
        assert len(watched) == values.get("steps", 0)
        assert [answer.HasField("run") for answer in answers] == [False] * (len(answers) - 1) + [True]
        assert (watched[0].HasField("input") if watched else view == FULL) or view == BASIC
    listed = await system.admin.runs.ListRuns(ListRunsRequest(filter="state = FAILED"))
    assert name in {run.name for run in listed.runs}
    replayed = await system.admin.runs.ReplayRun(ReplayRunRequest(name=name))
    assert {field.split(".")[0] for field in replayed.run.omitted} <= large_fields
    retried = await system.admin.runs.RetryRun(RetryRunRequest(name=name))
    async for _ in system.admin.runs.WatchRun(WatchRunRequest(name=retried.name)):
        pass
    new = await system.admin.runs.GetRun(GetRunRequest(name=retried.name, view=BASIC))
    assert new.state == Run.SUCCEEDED, new.error
    again = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=name)))
    assert (again.reason, again.metadata["retry"]) == ("ALREADY_RETRIED", retried.name)


async def test_a_client_that_accepts_more_reads_the_whole_run(system: GatewaySystem) -> None:
    name = await ended(system, "SUCCEEDED", output=NUMBERS, steps=3)
    options = [("grpc.max_receive_message_length", 64 * 1024 * 1024)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{system.port}", options=options) as channel:
        metadata = (("authorization", f"Bearer {system.admin.token}"), ("ordinaut-max-response-bytes", "67108864"))
        method = channel.unary_unary(
            "/ordinaut.v1.RunService/GetRun",
            request_serializer=GetRunRequest.SerializeToString,
            response_deserializer=Run.FromString,
        )
        run = await method(GetRunRequest(name=name), metadata=metadata)
    assert run.ByteSize() > MAX_MESSAGE_BYTES
    assert len(run.output.list_value.values) == len(NUMBERS)
    assert not run.omitted


async def test_a_step_that_is_larger_than_a_page_leaves_out_its_largest_value(system: GatewaySystem) -> None:
    name = await ended(system, "SUCCEEDED", steps=1)
    async with system.database.connection() as connection:
        await connection.execute(
            "UPDATE step_run SET output = $2::jsonb WHERE run = $1 AND path = 'big1'",
            UUID(name.removeprefix("runs/")), json.dumps(NUMBERS),
        )  # fmt: skip
    [step] = [step for step in await steps_of(system, name) if step.path == "big1"]
    assert list(step.omitted) == ["output"]
    assert len(step.input.string_value) == len(TEXT)


async def test_a_large_live_run_is_cancelled(system: GatewaySystem) -> None:
    """The response to the cancellation, and to its repetition with the same request_id."""
    request = RunTaskRequest(name="tasks/large")
    request.start_time.FromJsonString("2999-01-01T00:00:00Z")
    run = await system.admin.tasks.RunTask(request)
    async with system.database.connection() as connection:
        await connection.execute(
            "UPDATE due_work SET params = $2::jsonb WHERE id = $1",
            UUID(run.name.removeprefix("runs/")), json.dumps({"n": NUMBERS}),
        )  # fmt: skip
    cancel = CancelRunRequest(name=run.name, request_id="once")
    first, second = [await system.admin.runs.CancelRun(cancel) for _ in range(2)]
    assert (first, first.state, list(first.omitted)) == (second, Run.CANCELLED, ["params"])
