"""`rights: LIMITED_BY_STARTER`: a run has also only what the token had that started it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from google.protobuf import json_format

from gateway.authentication import authenticator
from ordinaut.store.queue import due_work_enqueue
from ordinaut.store.tasks import backfill
from ordinaut.v1.backfill_pb2 import Backfill
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import CreateRunRequest, RetryRunRequest
from ordinaut.v1.state_service_pb2 import PutStateEntryRequest
from ordinaut.v1.task_pb2 import RunPolicy, Task
from ordinaut.v1.task_service_pb2 import CreateBackfillRequest, CreateTaskRequest, RunTaskRequest
from tests.integration.support.gateway_system import (
    Caller,
    GatewaySystem,
    finished,
    gateway_system,
    refusal,
    working,
)
from tests.patience import PATIENCE
from tests.security.test_rights import ALL, READ_SECRET, error_code, narrowed, reading
from worker.engine.definitions import Definitions

STARTER = ("tasks:run", "tasks:read", "tasks:write", "runs:read", "runs:write")
LITERAL = {"uses": "orchestrator.get_state", "with": {"namespace": "private", "key": "k"}}


@pytest_asyncio.fixture
async def system(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GatewaySystem]:
    """With a worker, and an entry of state/private."""
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    async with gateway_system(database_url) as started, working(started, database_url):
        entry = {"entry": {"name": "state/private/k", "value": 1}}
        await started.admin.state.PutStateEntry(json_format.ParseDict(entry, PutStateEntryRequest()))
        yield started


async def a_task(caller: Caller, *steps: dict[str, Any], name: str = "t", ns: str = "private", **fields: Any) -> Task:
    policy = {"rights": "LIMITED_BY_STARTER"} | fields.pop("run_policy", {})
    document = reading(*steps, ns=ns) | {"run_policy": policy} | fields
    request = CreateTaskRequest(task=json_format.ParseDict(document, Task()), task_id=name)
    task: Task = await caller.tasks.CreateTask(request)
    return task


async def run_task(caller: Caller, name: str = "t", **fields: Any) -> Run:
    return await finished(caller, (await caller.tasks.RunTask(RunTaskRequest(name=f"tasks/{name}", **fields))).name)


async def the_child(system: GatewaySystem, parent: Run) -> str:
    """The name of the run that a run has started, once there is one."""
    query, uid = "SELECT run FROM run_child WHERE parent = $1", UUID(parent.name.removeprefix("runs/"))
    async with system.database.connection() as connection, asyncio.timeout(PATIENCE):
        while (run := await connection.fetchval(query, uid)) is None:
            continue
    return f"runs/{run}"


@pytest.mark.parametrize("rights", ["LIMITED_BY_STARTER", "AS_SAVED"])
async def test_a_run_has_what_the_starting_token_has(system: GatewaySystem, rights: str) -> None:
    """Also with a computed name, which no check of the request could see."""
    whole = await system.agent("worker", *ALL)
    task = await a_task(whole, run_policy={"rights": rights})
    assert task.run_policy.rights == RunPolicy.Rights.Value(rights)
    narrow = await narrowed(system, "worker", *STARTER, "state:read")
    public = await narrowed(system, "worker", *STARTER, "state:read:public*")
    assert error_code(await run_task(narrow)) == "SUCCEEDED"
    assert error_code(await run_task(whole)) == "SUCCEEDED"
    assert error_code(await run_task(public)) == ("SUCCEEDED" if rights == "AS_SAVED" else "DENIED")


async def test_a_starter_without_a_literal_need_is_refused_with_each_step(system: GatewaySystem) -> None:
    whole = await system.agent("worker", *ALL)
    ask = {"uses": "orchestrator.emit", "with": {"topic": "a.b", "data": {}}}
    admin_task = await a_task(system.admin, LITERAL, ask, name="of-admin")
    await a_task(whole, LITERAL)
    narrow = await narrowed(system, "worker", *STARTER)
    refused = await refusal(narrow.tasks.RunTask(RunTaskRequest(name="tasks/t")))
    assert (refused.reason, refused.metadata["scopes"]) == ("MISSING_SCOPE", "state:read:private")
    assert refused.fields == ["task.pipeline.steps[0].uses"]
    limited = await narrowed(system, "admin", "admin")
    assert error_code(await run_task(limited, admin_task.name.removeprefix("tasks/"))) == "SUCCEEDED"


async def test_a_computed_pipeline_is_held_against_the_starter(system: GatewaySystem) -> None:
    whole = await system.agent("worker", *ALL)
    through = {"uses": "orchestrator.run_pipeline", "with": {"pipeline": "${params.document}"}}
    await a_task(whole, through, params={"document": reading(LITERAL)["pipeline"]})
    for scopes, code in ((("state:read:private",), "SUCCEEDED"), (("state:read:public",), "DENIED")):
        starter = await narrowed(system, "worker", *STARTER, *scopes)
        run = await starter.tasks.RunTask(RunTaskRequest(name="tasks/t"))
        assert error_code(await finished(whole, await the_child(system, run))) == code


async def test_a_child_is_limited_by_the_run_that_starts_it(system: GatewaySystem) -> None:
    whole = await system.agent("worker", *ALL)
    await a_task(whole, name="child")
    await a_task(whole, {"uses": "orchestrator.run_task", "with": {"task": "tasks/child", "params": {}}}, name="parent")
    for starter, code in ((await narrowed(system, "worker", *STARTER), "DENIED"), (whole, "SUCCEEDED")):
        parent = await run_task(starter, "parent")
        assert error_code(await finished(whole, str(parent.steps[0].output.struct_value["run"]))) == code


async def test_a_retry_has_the_limits_of_both_starters(system: GatewaySystem) -> None:
    """Of a wider token it gets no more than the run that it repeats."""
    whole = await system.agent("worker", *ALL)
    await a_task(whole)
    narrow = await narrowed(system, "worker", *STARTER, "state:read:public")
    first = await run_task(narrow)
    again = await whole.runs.RetryRun(RetryRunRequest(name=first.name))
    assert error_code(first) == error_code(await finished(whole, again.name)) == "DENIED"
    async with system.database.connection() as connection:
        limit = "SELECT scopes FROM run_limit WHERE run = $1"
        runs = [UUID(run.name.removeprefix("runs/")) for run in (first, again)]
        assert [await connection.fetchval(limit, run) for run in runs] == [sorted({*STARTER, "state:read:public"})] * 2


async def test_a_retry_needs_what_the_steps_need(system: GatewaySystem) -> None:
    whole = await system.agent("worker", *STARTER, "state:read:private")
    await a_task(whole, LITERAL, READ_SECRET, ns="other")
    ended = await run_task(whole)
    assert error_code(ended) == "DENIED"
    narrow = await narrowed(system, "worker", *STARTER)
    refused = await refusal(narrow.runs.RetryRun(RetryRunRequest(name=ended.name)))
    assert refused.metadata["scopes"] == "state:read:private,state:read"


async def test_a_backfill_is_limited_by_its_token(system: GatewaySystem) -> None:
    """Its runs are enqueued later, by the scheduler, with the scopes that the token had."""
    whole = await system.agent("worker", *ALL)
    await a_task(whole, schedule={"triggers": [{"cron": "0 0 * * *"}], "time_zone": "UTC"})
    since = datetime.now(UTC) - timedelta(days=3)
    request = CreateBackfillRequest(parent="tasks/t", backfill_id="b", backfill=Backfill())
    request.backfill.after_time.FromDatetime(since)
    narrow = await narrowed(system, "worker", *STARTER)
    assert (await refusal(narrow.tasks.CreateBackfill(request))).metadata["scopes"] == "state:read"
    reader = await narrowed(system, "worker", *STARTER, "state:read")
    await reader.tasks.CreateBackfill(request)
    async with system.database.connection() as connection:
        row = await connection.fetchrow("SELECT uid, task, starter_scopes FROM backfill")
        assert row is not None
        uid, task, scopes = row
        assert scopes == sorted({*STARTER, "state:read"})
        async with connection.transaction():
            instant = datetime(2026, 1, 1, tzinfo=UTC)
            await backfill.SQL.enqueue.value(
                connection,
                backfill=uid,
                instants=[instant],
                keys=["1/x"],
                recorded=[False],
                triggers=[""],
                params=["{}"],
                interval_ends=[None],
            )
        query = "SELECT l.scopes FROM run_limit AS l JOIN occurrence AS o ON o.run = l.run WHERE o.task = $1"
        assert await connection.fetchval(query, task) == scopes


async def test_without_the_policy_nothing_is_stored(system: GatewaySystem) -> None:
    whole = await system.agent("worker", *ALL)
    await a_task(whole, run_policy={"rights": "AS_SAVED"})
    await run_task(whole)
    async with system.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM run_limit") == 0


async def test_a_start_without_a_starter_named_has_nothing(system: GatewaySystem) -> None:
    """A caller of the store that forgets the scopes starts a run without rights, not one without a limit."""
    whole = await system.agent("worker", *ALL)
    task = await a_task(whole)
    async with system.database.transaction() as connection:
        run = await connection.fetchval("SELECT new_id()")
        await due_work_enqueue.enqueue_manual(
            connection, task=UUID(task.uid), run=run, params_json='{"ns": "private"}', priority=None, start_time=None
        )
    assert error_code(await finished(whole, f"runs/{run}")) == "DENIED"


async def test_another_worker_reads_the_limit_again(system: GatewaySystem) -> None:
    """A claim after a crash, when the token is gone; two limits of one version do not share a definition."""
    whole = await system.agent("worker", *ALL)
    task = await a_task(whole)
    starter = await narrowed(system, "worker", *STARTER, "state:read")
    narrow = await narrowed(system, "worker", *STARTER, "state:read:public")
    runs = [await run_task(caller) for caller in (starter, narrow, whole)]
    definitions = Definitions()
    async with system.database.connection() as connection:
        await connection.execute("DELETE FROM agent_token WHERE public_id = $1", starter.token.split("_")[1])
        claimed = await connection.fetch("SELECT * FROM run WHERE task = $1 ORDER BY id", UUID(task.uid))
        scopes = [
            (await definitions.get(connection, SimpleNamespace(**row, project_revision=1))).scopes  # type: ignore[arg-type]
            for row in claimed
        ]
    assert len(runs) == len(scopes)
    assert scopes == [{*STARTER, "state:read"}, {*STARTER, "state:read:public"}, set(ALL)]


async def test_a_run_without_a_task_has_no_such_policy(system: GatewaySystem) -> None:
    document = reading() | {"run_policy": {"rights": "AS_SAVED"}}
    request = json_format.ParseDict(document, CreateRunRequest())
    assert (await refusal(system.admin.runs.CreateRun(request))).fields == ["run_policy.rights"]
