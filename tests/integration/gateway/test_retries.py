"""A run that failed is taken up again behind what it had finished."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from ordinaut.store.runs import retry
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    CreateRunRequest,
    GetRunRequest,
    ListRunsRequest,
    RetryRunRequest,
)
from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.v1.state_service_pb2 import GetStateEntryRequest, PutStateEntryRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, DeleteTaskRequest, RunTaskRequest, UpdateTaskRequest
from tests.integration.support.gateway_system import GatewaySystem, a_task, finished, gateway_system, refusal, working

# Fails until the state entry `door/open` has its first revision; then it ends with that of what its first step wrote.
DOOR: dict[str, Any] = {
    "steps": [
        {"id": "first", "uses": "orchestrator.put_state", "with": {"namespace": "log", "key": "first", "value": 1}},
        {"id": "never", "if": "`false`", "uses": "orchestrator.set", "with": {}},
        {
            "id": "pass",
            "uses": "orchestrator.put_state",
            "with": {"namespace": "door", "key": "open", "value": 2, "revision": 1},
        },
    ],
    "on_error": [{"id": "tell", "uses": "orchestrator.set", "with": {"code": "${error.code}"}}],
    "output": "${steps.first.revision}",
}
OPEN = PutStateEntryRequest(entry=json_format.ParseDict({"name": "state/door/open", "value": True}, StateEntry()))


def through(door: str) -> dict[str, Any]:
    return {"id": door, "uses": "orchestrator.put_state",
            "with": {"namespace": "door", "key": door, "value": 2, "revision": 1}}  # fmt: skip


def counted(step: str, key: str) -> dict[str, Any]:
    return {"id": step, "uses": "orchestrator.put_state", "with": {"namespace": "log", "key": key, "value": 1}}


# Each door opens when its state entry has its first revision; what was paid twice has revision 2.
ROOMS = {
    "steps": [
        {"id": "first", "uses": "orchestrator.set", "with": {}},
        through("one"),
        counted("paid", "paid"),
        through("two"),
    ]
}
COUNTED = {
    "steps": [
        counted("first", "first"),
        counted("second", "second"),
        {"id": "fail", "uses": "orchestrator.fail", "with": {"code": "SHUT", "message": "no"}},
    ]
}
SHUT = {"steps": [{"id": "a", "uses": "orchestrator.fail", "with": {"code": "SHUT", "message": "no"}}]}
FINE = {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {}}]}


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


def inline(document: dict[str, Any]) -> CreateRunRequest:
    return json_format.ParseDict({"pipeline": document}, CreateRunRequest())


async def put_state(system: GatewaySystem, name: str) -> None:
    entry = json_format.ParseDict({"name": f"state/{name}", "value": True}, StateEntry())
    await system.admin.state.PutStateEntry(PutStateEntryRequest(entry=entry))


async def retried(system: GatewaySystem, run: Run, **fields: Any) -> Run:
    answer: Run = await system.admin.runs.RetryRun(RetryRunRequest(name=run.name, **fields))
    return answer


async def test_a_retry_resumes_after_the_completed_steps(system: GatewaySystem, database_url: str) -> None:
    """Finished and skipped steps are copied, the failed one is tried again with its key, error handlers are not."""
    async with working(system, database_url):
        task = a_task(pipeline=DOOR, params={})
        await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="door"))
        run = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/door"))
        failed = await finished(system.admin, run.name)
        assert failed.state == Run.FAILED
        assert [step.path for step in failed.steps] == ["first", "never", "pass", "on_error.tell"]
        await system.admin.state.PutStateEntry(OPEN)
        again = await finished(system.admin, (await retried(system, failed)).name)
    assert (again.state, again.kind, again.retry_of, again.task) == (Run.SUCCEEDED, Run.RETRY, run.name, "tasks/door")
    assert [step.path for step in again.steps] == ["first", "never", "pass"]
    assert list(again.steps)[:2] == list(failed.steps)[:2]
    assert again.steps[2].idempotency_key == failed.steps[2].idempotency_key
    assert again.output.number_value == 1.0
    listed = await system.admin.runs.ListRuns(ListRunsRequest(filter="kind = RETRY"))
    assert [shown.retry_of for shown in listed.runs] == [run.name]


async def test_a_retried_run_continues_from_its_newest_retry(system: GatewaySystem, database_url: str) -> None:
    """Steps that a retry has finished are not executed again, whichever run of the chain is named."""
    async with working(system, database_url):
        first = await finished(system.admin, (await system.admin.runs.CreateRun(inline(ROOMS))).name)
        await put_state(system, "door/one")
        second = await finished(system.admin, (await retried(system, first)).name)
        await put_state(system, "door/two")
        third = await finished(system.admin, (await retried(system, first)).name)
    assert [run.state for run in (first, second, third)] == [Run.FAILED, Run.FAILED, Run.SUCCEEDED]
    assert (second.retry_of, third.retry_of, third.task) == (first.name, second.name, "")
    assert [step.path for step in third.steps] == ["first", "one", "paid", "two"]
    assert list(third.steps)[:3] == list(second.steps)[:3]
    assert third.steps[3].idempotency_key == first.steps[0].idempotency_key.replace("first", "two")
    paid = await system.admin.state.GetStateEntry(GetStateEntryRequest(name="state/log/paid"))
    assert paid.revision == 1
    shown = await system.admin.runs.GetRun(GetRunRequest(name=first.name))
    assert list(shown.retries) == [second.name, third.name]
    listed = await system.admin.runs.ListRuns(ListRunsRequest(filter=f'retry_of = "{first.name}"'))
    assert [run.name for run in listed.runs] == [second.name]


async def test_a_run_with_a_retry_that_succeeded_is_not_retried(system: GatewaySystem, database_url: str) -> None:
    """Neither the first run nor a failed retry in the middle of the chain; options do not change that."""
    async with working(system, database_url):
        first = await finished(system.admin, (await system.admin.runs.CreateRun(inline(ROOMS))).name)
        second = await finished(system.admin, (await retried(system, first)).name)
        await put_state(system, "door/one")
        await put_state(system, "door/two")
        third = await finished(system.admin, (await retried(system, second)).name)
    assert third.state == Run.SUCCEEDED
    for request in (
        RetryRunRequest(name=first.name),
        RetryRunRequest(name=second.name),
        RetryRunRequest(name=first.name, from_step="first"),
    ):
        refused = await refusal(system.admin.runs.RetryRun(request))
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "ALREADY_RETRIED")
        assert (refused.metadata["retry"], refused.metadata["state"]) == (third.name, "SUCCEEDED")


async def test_a_cancelled_retry_is_continued(system: GatewaySystem) -> None:
    run = await system.admin.runs.CreateRun(inline(FINE))
    await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
    again = await retried(system, run)
    await system.admin.runs.CancelRun(CancelRunRequest(name=again.name))
    assert (await retried(system, run)).retry_of == again.name


async def test_one_of_concurrent_retries_of_a_chain_wins(system: GatewaySystem) -> None:
    """Also when they name different runs of the chain, over several rounds; the others name the winner."""
    chain = [await system.admin.runs.CreateRun(inline(FINE))]
    for _ in range(5):
        await system.admin.runs.CancelRun(CancelRunRequest(name=chain[-1].name))
        calls = [system.admin.runs.RetryRun(RetryRunRequest(name=chain[i % len(chain)].name)) for i in range(12)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        winners = [answer for answer in answers if isinstance(answer, Run)]
        assert len(winners) == 1
        assert winners[0].retry_of == chain[-1].name
        for call in chain:
            refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=call.name)))
            assert (refused.reason, refused.metadata["retry"]) == ("ALREADY_RETRIED", winners[0].name)
        chain += winners
    shown = await system.admin.runs.GetRun(GetRunRequest(name=chain[0].name))
    assert list(shown.retries) == [run.name for run in chain[1:]]


async def test_a_retry_from_a_step_executes_it_again(system: GatewaySystem, database_url: str) -> None:
    """With new idempotency keys; earlier results are kept."""
    async with working(system, database_url):
        failed = await finished(system.admin, (await system.admin.runs.CreateRun(inline(COUNTED))).name)
        again = await finished(system.admin, (await retried(system, failed, from_step="second")).name)
    assert [step.path for step in again.steps] == ["first", "second", "fail"]
    revisions = [step.output.struct_value["revision"] for step in list(again.steps)[:2]]
    assert revisions == [1, 2]
    assert again.steps[1].idempotency_key != failed.steps[1].idempotency_key
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=again.name, from_step="third")))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["from_step"])


async def test_a_retry_can_execute_the_current_version(system: GatewaySystem, database_url: str) -> None:
    """The task was corrected; results of finished steps are kept by path."""
    async with working(system, database_url):
        await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(pipeline=COUNTED, params={}), task_id="fix"))
        failed = await finished(system.admin, (await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/fix"))).name)
        corrected = a_task(pipeline={"steps": [*COUNTED["steps"][:2], {**FINE["steps"][0], "id": "new"}]}, params={})
        corrected.name = "tasks/fix"
        await system.admin.tasks.UpdateTask(
            UpdateTaskRequest(task=corrected, update_mask=FieldMask(paths=["pipeline"]))
        )
        recorded = await finished(system.admin, (await retried(system, failed)).name)
        latest = await finished(system.admin, (await retried(system, failed, version=RetryRunRequest.LATEST)).name)
    assert (recorded.state, recorded.task_version) == (Run.FAILED, 1)
    assert (latest.state, latest.task_version, latest.retry_of) == (Run.SUCCEEDED, 2, recorded.name)
    assert [step.path for step in latest.steps] == ["first", "second", "new"]
    assert list(latest.steps)[:2] == list(failed.steps)[:2]


async def test_a_run_without_a_task_has_no_current_version(system: GatewaySystem) -> None:
    run = await system.admin.runs.CreateRun(inline(FINE))
    await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=run.name, version=RetryRunRequest.LATEST)))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "TASK_STATE")
    assert (await retried(system, run)).retry_of == run.name


async def test_only_failed_and_cancelled_runs_are_retried(system: GatewaySystem, database_url: str) -> None:
    """Neither a live run nor one that succeeded."""
    live = await system.admin.runs.CreateRun(inline(SHUT))
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=live.name)))
    assert (refused.code, refused.reason, refused.metadata["state"]) == ("FAILED_PRECONDITION", "RUN_STATE", "QUEUED")
    async with working(system, database_url):
        done = await finished(system.admin, (await system.admin.runs.CreateRun(inline(FINE))).name)
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=done.name)))
    assert (refused.reason, refused.metadata["state"]) == ("RUN_STATE", "SUCCEEDED")


async def test_one_of_concurrent_retries_runs(system: GatewaySystem) -> None:
    """The others name it; the same request_id gives the same one."""
    run = await system.admin.runs.CreateRun(inline(FINE))
    await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
    answers = await asyncio.gather(*(retried(system, run, request_id="one") for _ in range(3)))
    assert {answer.name for answer in answers} == {answers[0].name}
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=run.name)))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "ALREADY_RETRIED")
    assert (refused.metadata["retry"], refused.metadata["state"]) == (answers[0].name, "QUEUED")


async def test_the_overlap_policy_applies_to_retries(system: GatewaySystem) -> None:
    """A task that allows one run at a time has one."""
    policy = {"overlap": {"policy": "SKIP"}}
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(run_policy=policy), task_id="one"))
    run = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    await system.admin.runs.CancelRun(CancelRunRequest(name=run.name))
    live = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=run.name)))
    assert (refused.reason, refused.metadata) == ("OVERLAP", {"live_run": live.name})
    async with system.database.transaction() as connection:  # a worker commits although the retry was refused
        result = await retry.enqueue(connection, retry_of=UUID(run.name.removeprefix("runs/")), run=uuid4())
    assert result.run is None
    await system.admin.runs.CancelRun(CancelRunRequest(name=live.name))
    assert (await retried(system, run)).retry_of == run.name


async def test_the_runs_of_a_deleted_task_stay_ended(system: GatewaySystem) -> None:
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="gone"))
    run = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/gone"))
    await system.admin.tasks.DeleteTask(DeleteTaskRequest(name="tasks/gone"))
    assert (await system.admin.runs.GetRun(GetRunRequest(name=run.name))).state == Run.CANCELLED
    refused = await refusal(system.admin.runs.RetryRun(RetryRunRequest(name=run.name)))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "TASK_STATE")
