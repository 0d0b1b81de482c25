"""Tasks: checked as a whole, stored with their clock, changed only by who knows them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from ordinaut.v1.event_service_pb2 import ListEventsRequest
from ordinaut.v1.run_service_pb2 import CancelRunRequest, GetRunRequest, ListRunsRequest, RetryRunRequest
from ordinaut.v1.task_pb2 import Overlap, RunPolicy, Task
from ordinaut.v1.task_service_pb2 import (
    CreateTaskRequest,
    DeleteTaskRequest,
    GetTaskRequest,
    ListOccurrencesRequest,
    ListTasksRequest,
    PauseTaskRequest,
    ResumeTaskRequest,
    RunTaskRequest,
    UpdateTaskRequest,
)
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal

CRON: dict[str, Any] = {"triggers": [{"cron": "*/5 * * * *"}], "time_zone": "Europe/Berlin"}


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


def struct(**values: Any) -> Struct:
    return ParseDict(values, Struct())


async def value(system: GatewaySystem, statement: str, *arguments: Any) -> Any:
    async with system.database.connection() as connection:
        return await connection.fetchval(statement, *arguments)


async def test_a_created_task_has_its_next_five_times(system: GatewaySystem) -> None:
    """The answer shows the completed schedule, the coming times, and what Get will show later."""
    created = await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(schedule=CRON), task_id="one"))
    assert created.name == "tasks/one"
    assert created.owner == "agents/admin"
    assert created.state == Task.ACTIVE
    assert len(created.upcoming) == 5
    assert created.schedule.triggers[0].id == "t0"
    read = await system.admin.tasks.GetTask(GetTaskRequest(name="tasks/one"))
    read.ClearField("warnings")
    created.ClearField("warnings")
    assert read == created


async def test_without_an_id_the_task_is_named_by_its_uid(system: GatewaySystem) -> None:
    """Chosen ids begin with a letter, so that a uid never meets one."""
    created = await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task()))
    assert created.name == f"tasks/{created.uid}"
    assert (await system.admin.tasks.GetTask(GetTaskRequest(name=created.name))).uid == created.uid


async def test_all_violations_of_a_task_are_reported_at_once(system: GatewaySystem) -> None:
    """Fields, schedule and pipeline are checked together, with paths from the request's root and fixes."""
    wrong = a_task(
        display_name="\u202e",
        owner="agents/root",
        run_policy={"priority": 10},
        schedule={"triggers": [{"cron": "61 * * * *"}], "time_zone": "Europe/Berlun"},
        pipeline={"steps": [{"id": "a", "uses": "orchestrator.sett"}], "output": "${steps.b}"},
    )
    refused = await refusal(system.admin.tasks.CreateTask(CreateTaskRequest(task=wrong, task_id="Bad id")))
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert {
        "task_id",
        "task.owner",
        "task.display_name",
        "task.run_policy.priority",
        "task.schedule.time_zone",
        "task.schedule.triggers[0].cron",
        "task.pipeline.steps[0].uses",
        "task.pipeline.output",
    } <= set(refused.fields)
    assert refused.fixes >= 2
    assert await value(system, "SELECT count(*) FROM task") == 0


async def test_names_are_unique_and_free_after_deletion(system: GatewaySystem) -> None:
    """History keeps the uid of the deleted one."""
    create = CreateTaskRequest(task=a_task(schedule=CRON), task_id="one")
    first = await system.admin.tasks.CreateTask(create)
    refused = await refusal(system.admin.tasks.CreateTask(create))
    assert (refused.code, refused.reason) == ("ALREADY_EXISTS", "RESOURCE_EXISTS")
    run = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    await system.admin.tasks.DeleteTask(DeleteTaskRequest(name="tasks/one"))
    assert (await refusal(system.admin.tasks.GetTask(GetTaskRequest(name="tasks/one")))).code == "NOT_FOUND"
    ended = await system.admin.runs.GetRun(GetRunRequest(name=run.name))
    assert ended.state == ended.CANCELLED
    second = await system.admin.tasks.CreateTask(create)
    assert second.uid != first.uid
    assert await value(system, "SELECT count(*) FROM schedule_cursor WHERE next_fire_time IS NULL") == 1


async def test_only_a_change_of_the_definition_creates_a_version(system: GatewaySystem) -> None:
    """And only a change of the clock's part makes a generation."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(schedule=CRON), task_id="one"))
    generation = "SELECT generation FROM schedule_cursor"

    async def update(mask: list[str] | None = None, **fields: Any) -> Task:
        task = ParseDict({"name": "tasks/one", **fields}, Task())
        request = UpdateTaskRequest(task=task, update_mask=FieldMask(paths=mask) if mask else None)
        answer: Task = await system.admin.tasks.UpdateTask(request)
        return answer

    assert (await update(display_name="One")).version == 1
    assert (await update(params={"x": 2})).version == 2
    assert await value(system, generation) == 1
    assert (await update(["params"], params={"x": 2})).version == 2
    changed = await update(["schedule.time_zone"], schedule={"time_zone": "Asia/Tokyo"})
    assert (changed.version, changed.schedule.triggers[0].cron) == (3, "*/5 * * * *")
    assert await value(system, generation) == 2
    assert len(changed.upcoming) == 5
    cleared = await update(["schedule"])
    assert not cleared.schedule.triggers
    assert not cleared.upcoming
    assert await value(system, "SELECT next_fire_time = 'infinity' FROM schedule_cursor")


async def test_a_stale_etag_is_refused(system: GatewaySystem) -> None:
    """Of two updates from one reading, the second is ABORTED; so is a deletion."""
    task = await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    change = Task(name=task.name, display_name="first", etag=task.etag)
    await system.admin.tasks.UpdateTask(UpdateTaskRequest(task=change))
    refused = await refusal(system.admin.tasks.UpdateTask(UpdateTaskRequest(task=change)))
    assert (refused.code, refused.reason) == ("ABORTED", "ETAG_MISMATCH")
    refused = await refusal(system.admin.tasks.DeleteTask(DeleteTaskRequest(name=task.name, etag=task.etag)))
    assert (refused.code, refused.reason) == ("ABORTED", "ETAG_MISMATCH")


async def test_concurrent_updates_all_succeed(system: GatewaySystem) -> None:
    """Without an etag nobody's change of another field is lost."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    changes: list[dict[str, Any]] = [{"display_name": "One"}, {"description": "Two"}, {"labels": {"three": "3"}}]
    await asyncio.gather(
        *(
            system.admin.tasks.UpdateTask(UpdateTaskRequest(task=ParseDict({"name": "tasks/one", **change}, Task())))
            for change in changes
        )
    )
    task = await system.admin.tasks.GetTask(GetTaskRequest(name="tasks/one"))
    assert (task.display_name, task.description, dict(task.labels)) == ("One", "Two", {"three": "3"})


async def test_a_task_can_be_sent_back_as_it_was_read(system: GatewaySystem) -> None:
    """But not with the server's fields changed, and no mask may name them."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(schedule=CRON), task_id="one"))
    task = await system.admin.tasks.GetTask(GetTaskRequest(name="tasks/one"))
    task.description = "changed"
    same = await system.admin.tasks.UpdateTask(UpdateTaskRequest(task=task))
    assert (same.description, same.version) == ("changed", 1)
    same.state = Task.PAUSED
    refused = await refusal(system.admin.tasks.UpdateTask(UpdateTaskRequest(task=same)))
    assert (refused.reason, refused.fields) == ("FIELD_NOT_WRITABLE", ["task.state"])
    masked = UpdateTaskRequest(task=same, update_mask=FieldMask(paths=["state", "no.such", "schedule.triggers.cron"]))
    refused = await refusal(system.admin.tasks.UpdateTask(masked))
    assert (refused.reason, len(refused.fields)) == ("FIELD_MASK_INVALID", 3)


async def test_pausing_and_resuming_are_idempotent(system: GatewaySystem) -> None:
    """A paused task has no coming times; a changed schedule leaves it paused."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(schedule=CRON), task_id="one"))
    paused = await system.admin.tasks.PauseTask(PauseTaskRequest(name="tasks/one", reason="holiday"))
    again = await system.admin.tasks.PauseTask(PauseTaskRequest(name="tasks/one", reason="other"))
    assert (paused.state, paused.state_reason) == (Task.PAUSED, "holiday")
    assert again.etag == paused.etag
    assert not (await system.admin.tasks.GetTask(GetTaskRequest(name="tasks/one"))).upcoming
    other = ParseDict({"name": "tasks/one", "schedule": {"triggers": [{"interval": "60s"}]}}, Task())
    await system.admin.tasks.UpdateTask(UpdateTaskRequest(task=other))
    assert await value(system, "SELECT next_fire_time = 'infinity' FROM schedule_cursor")
    resumed = await system.admin.tasks.ResumeTask(ResumeTaskRequest(name="tasks/one", run_newest=True))
    assert (resumed.state, resumed.state_reason) == (Task.ACTIVE, "")
    resuming = "SELECT next_fire_time IS NULL AND paused_until IS NOT NULL AND run_newest FROM schedule_cursor"
    assert await value(system, resuming)


async def test_run_params_override_the_tasks_and_are_validated(system: GatewaySystem) -> None:
    """Top level; the schema judges the result."""
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    task = a_task(params={"x": 1, "y": {"z": 1}}, params_schema=schema)
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="one"))
    request = RunTaskRequest(name="tasks/one", params=struct(x=2, w=3), priority=1)
    run = await system.admin.tasks.RunTask(request)
    assert (run.state, run.kind) == (run.QUEUED, run.MANUAL)
    assert run.params == struct(x=2, w=3, y={"z": 1})
    assert await system.admin.runs.GetRun(GetRunRequest(name=run.name)) == run
    assert await value(system, "SELECT priority FROM due_work") == 1
    refused = await refusal(system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one", params=struct(x="two"))))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["params.x"])


async def test_overlap_skip_refuses_a_second_run_and_names_the_first(system: GatewaySystem) -> None:
    """The refused run leaves no trace; without a policy both run."""
    policy = RunPolicy(overlap=Overlap(policy=Overlap.SKIP))
    task = a_task()
    task.run_policy.CopyFrom(policy)
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="one"))
    live = await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    refused = await refusal(system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one")))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "OVERLAP")
    assert refused.metadata["live_run"] == live.name
    assert await value(system, "SELECT count(*) FROM occurrence") == 1


async def test_runs_are_buffered_according_to_the_overlap_policy(system: GatewaySystem) -> None:
    """They are QUEUED and can be cancelled; when no more may wait the caller is told who stands in the way."""
    task = a_task(run_policy={"overlap": {"policy": "BUFFER_ALL", "max_buffer": 2, "ignore_waiting": True}})
    made = await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="one"))
    assert made.run_policy.overlap == task.run_policy.overlap
    live, second, third = [await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one")) for _ in range(3)]
    assert second.state == third.state == second.QUEUED
    refused = await refusal(system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one")))
    assert (refused.code, refused.reason, refused.metadata) == (
        "FAILED_PRECONDITION",
        "OVERLAP",
        {"live_run": live.name},
    )
    found = await system.admin.tasks.ListOccurrences(
        ListOccurrencesRequest(parent="tasks/one", filter="outcome = BUFFERED")
    )
    assert {entry.run for entry in found.occurrences} == {second.name, third.name}
    cancelled = await system.admin.runs.CancelRun(CancelRunRequest(name=second.name))
    assert cancelled.state == cancelled.CANCELLED
    again = await system.admin.runs.RetryRun(RetryRunRequest(name=second.name))
    assert again.state == again.QUEUED
    await system.admin.tasks.DeleteTask(DeleteTaskRequest(name="tasks/one"))
    assert await value(system, "SELECT count(*) FROM due_work") == 0


async def test_invalid_overlap_policies_are_refused(system: GatewaySystem) -> None:
    for overlap, field in (
        ({"policy": "BUFFER_ALL", "max_buffer": 1001}, "max_buffer"),
        ({"policy": "BUFFER_ALL", "max_buffer": -1}, "max_buffer"),
        ({"policy": "BUFFER_ONE", "max_buffer": 2}, "max_buffer"),
        ({"policy": "ALLOW", "ignore_waiting": True}, "ignore_waiting"),
    ):
        task = a_task(run_policy={"overlap": overlap})
        refused = await refusal(system.admin.tasks.CreateTask(CreateTaskRequest(task=task)))
        assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", [f"task.run_policy.overlap.{field}"])


async def test_live_and_ended_runs_are_listed_newest_first(system: GatewaySystem) -> None:
    """Page by page, filtered by task and state."""
    for name in ("one", "two"):
        await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id=name))
    names = [(await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))).name for _ in range(5)]
    await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/two"))
    cancelled = await system.admin.runs.CancelRun(CancelRunRequest(name=names[2], reason="enough"))
    assert (cancelled.state, cancelled.cancel_reason) == (cancelled.CANCELLED, "enough")
    listed: list[str] = []
    request = ListRunsRequest(task="tasks/one", page_size=2)
    while True:
        page = await system.admin.runs.ListRuns(request)
        listed += [run.name for run in page.runs]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert listed == names[::-1]
    ended = await system.admin.runs.ListRuns(ListRunsRequest(states=[cancelled.CANCELLED]))
    assert [run.name for run in ended.runs] == [names[2]]
    queued = await system.admin.runs.ListRuns(ListRunsRequest(states=[cancelled.QUEUED]))
    assert len(queued.runs) == 5
    refused = await refusal(system.admin.runs.CancelRun(CancelRunRequest(name=names[2])))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "RUN_FINISHED")


async def test_only_definitions_require_scheduler_and_engine(system: GatewaySystem) -> None:
    """UNAVAILABLE says when to come again; reading, running and pausing need neither."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(schedule=CRON), task_id="one"))
    await system.engine.stop(0)
    refused = await refusal(system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task())))
    assert (refused.code, refused.reason, refused.retry) == ("UNAVAILABLE", "ENGINE_UNAVAILABLE", True)
    await system.scheduler.stop(0)
    refused = await refusal(system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task())))
    assert (refused.code, refused.reason, refused.retry) == ("UNAVAILABLE", "SCHEDULER_UNAVAILABLE", True)
    assert not (await system.admin.tasks.GetTask(GetTaskRequest(name="tasks/one"))).upcoming
    await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    change = UpdateTaskRequest(task=Task(name="tasks/one", display_name="still"))
    assert (await system.admin.tasks.UpdateTask(change)).display_name == "still"
    assert len((await system.admin.tasks.ListTasks(ListTasksRequest())).tasks) == 1


async def test_a_pipeline_has_the_rights_of_its_owner(system: GatewaySystem) -> None:
    """Checked where it is saved: by tool, by topic and by namespace, each with its path."""
    agent = await system.agent("worker", "tasks:write", "tasks:read", "events:publish:mail.*", "state:write:notes")
    emit = {"id": "a", "uses": "orchestrator.emit", "with": {"topic": "mail.sent"}}
    await agent.tasks.CreateTask(CreateTaskRequest(task=a_task(pipeline={"steps": [emit]}), task_id="one"))
    foreign = {"id": "a", "uses": "orchestrator.emit", "with": {"topic": "orders.new"}}
    state = {"id": "b", "uses": "orchestrator.put_state", "with": {"namespace": "other", "key": "k", "value": 1}}
    create = CreateTaskRequest(task=a_task(pipeline={"steps": [foreign, state]}), task_id="two")
    refused = await refusal(agent.tasks.CreateTask(create))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "MISSING_SCOPE")
    assert refused.metadata["scope"] == "events:publish:orders.new"
    assert refused.fields == ["task.pipeline.steps[0].uses", "task.pipeline.steps[1].uses"]
    by_admin = ParseDict({"name": "tasks/one", "pipeline": {"steps": [foreign]}}, Task())
    refused = await refusal(system.admin.tasks.UpdateTask(UpdateTaskRequest(task=by_admin)))
    assert refused.reason == "MISSING_SCOPE"


async def test_changes_of_a_task_are_published(system: GatewaySystem) -> None:
    """One event for each change, in order."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    await system.admin.tasks.PauseTask(PauseTaskRequest(name="tasks/one"))
    await system.admin.tasks.ResumeTask(ResumeTaskRequest(name="tasks/one"))
    await system.admin.tasks.UpdateTask(UpdateTaskRequest(task=Task(name="tasks/one", description="x")))
    await system.admin.tasks.DeleteTask(DeleteTaskRequest(name="tasks/one"))
    await _number(system)
    listed = await system.admin.events.ListEvents(ListEventsRequest(topic="ordinaut.task.*"))
    assert [event.topic.rpartition(".")[2] for event in listed.events] == [
        "created",
        "paused",
        "resumed",
        "updated",
        "deleted",
    ]
    assert [event.position for event in listed.events] == [1, 2, 3, 4, 5]
    assert {event.publisher for event in listed.events} == {"agents/admin"}


async def _number(system: GatewaySystem) -> None:
    """What the scheduler's relay does."""
    from ordinaut.store import event  # noqa: PLC0415 - beside its only use

    async with system.database.transaction() as connection:
        await event.number(connection)
