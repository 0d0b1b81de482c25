"""Runs of more than 4 MiB over REST: each method answers, or names the way to the rest; no change answers an error."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from ordinaut.limits import MAX_MESSAGE_BYTES
from ordinaut.v1.run_service_pb2 import WatchRunRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import a_task, working
from tests.integration.support.rest_system import RestSystem, rest_system

pytestmark = pytest.mark.asyncio(loop_scope="module")
TEXT = "x" * 900_000
NUMBERS = [7] * 400_000
STEPS = 6
FINE = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {}}]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(postgres_url: str) -> AsyncIterator[RestSystem]:
    async with (
        fresh_database(postgres_url) as url,
        rest_system(url) as started,
        working(started.grpc, url),
    ):
        task = a_task(pipeline=FINE, params={})
        await started.grpc.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="large"))
        yield started


async def large_run(rest: RestSystem, state: str) -> str:
    """A run that has ended, with an output, params and steps that are larger than a message together."""
    admin = rest.grpc.admin
    started = await admin.tasks.RunTask(RunTaskRequest(name="tasks/large"))
    async for _ in admin.runs.WatchRun(WatchRunRequest(name=started.name)):
        pass
    run_id = UUID(started.name.removeprefix("runs/"))
    async with rest.grpc.database.connection() as connection:
        await connection.execute(
            "UPDATE run SET state = $2, output = $3::jsonb WHERE id = $1", run_id, state, json.dumps(NUMBERS)
        )
        await connection.execute(
            "INSERT INTO step_run SELECT $1, 'big' || n, 1, 100 + n, 'SUCCEEDED', 't.x', to_jsonb($3::text), "
            "to_jsonb($3::text), NULL, now(), now(), now() FROM generate_series(1, $2::int) AS n",
            run_id, STEPS, TEXT,
        )  # fmt: skip
    return str(started.name)


async def test_a_large_run_is_read_in_parts(rest: RestSystem) -> None:
    name = await large_run(rest, "SUCCEEDED")
    refused = await rest.call("GET", f"/v1/{name}?view=FULL")
    assert refused.status == 413, refused.text[:500]
    assert "read it with view=BASIC, and its steps with ListRunSteps" in refused.json["error"]["message"]
    basic = await rest.call("GET", f"/v1/{name}?view=BASIC")
    assert (basic.status, basic.json["state"]) == (200, "SUCCEEDED"), basic.text[:500]
    steps, token = [], ""
    while True:
        page = await rest.call("GET", f"/v1/{name}/steps?page_token={token}")
        assert page.status == 200, page.text[:500]
        assert len(page.text) <= 2 * MAX_MESSAGE_BYTES
        steps += page.json["steps"]
        if not (token := page.json.get("next_page_token", "")):
            break
    assert sum(step["path"].startswith("big") for step in steps) == STEPS
    assert all(step["output"] == TEXT for step in steps if step["path"].startswith("big"))
    listed = await rest.call("GET", "/v1/runs?page_size=100")
    assert listed.status == 200, listed.text[:500]


async def test_a_large_run_is_watched(rest: RestSystem) -> None:
    """Every line is a response; the steps come before the run."""
    name = await large_run(rest, "SUCCEEDED")
    for view in ("", "?view=FULL"):
        answer = await rest.call("GET", f"/v1/{name}:watch{view}")
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert answer.status == 200
        assert not [line for line in lines if "error" in line]
        assert lines[-1]["run"]["state"] == "SUCCEEDED"
        paths = {step["path"] for line in lines for step in line.get("steps", [])}
        assert len([path for path in paths if path.startswith("big")]) == STEPS


async def test_changes_of_a_large_run_answer_once(rest: RestSystem) -> None:
    """A retry that has started answers with it, and a second one is refused with its name; a cancel says what holds."""
    name = await large_run(rest, "FAILED")
    retried = await rest.call("POST", f"/v1/{name}:retry", {})
    assert retried.status == 200, retried.text[:500]
    again = await rest.call("POST", f"/v1/{name}:retry", {})
    assert (again.status, again.reason) == (400, "ALREADY_RETRIED"), again.text[:500]
    assert retried.json["name"] in again.text
    cancelled = await rest.call("POST", f"/v1/{name}:cancel", {})
    assert (cancelled.status, cancelled.reason) == (400, "RUN_FINISHED"), cancelled.text[:500]
    async with rest.grpc.database.connection() as connection:
        count: Any = await connection.fetchval("SELECT count(*) FROM run_retry WHERE retry_of = $1", UUID(name[5:]))
    assert count == 1


async def test_a_large_run_is_replayed(rest: RestSystem) -> None:
    name = await large_run(rest, "SUCCEEDED")
    replay = await rest.call("POST", f"/v1/{name}:replay", {})
    assert replay.status == 200, replay.text[:500]
    assert "steps" in replay.json
