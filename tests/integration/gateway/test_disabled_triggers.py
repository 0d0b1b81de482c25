"""A trigger that was disabled because of its cost is visible, and a save or a resume enables it."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask

from ordinaut.v1.explanation_pb2 import Hindrance
from ordinaut.v1.task_service_pb2 import (
    CreateTaskRequest,
    ExplainOccurrenceRequest,
    GetTaskRequest,
    ResumeTaskRequest,
    UpdateTaskRequest,
)
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal

DISABLE = (
    "UPDATE event_trigger SET disable_reason = 'CONDITION_OVER_BUDGET', judged_position = 0, disable_time = clock_now()"
)


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as running:
        yield running


@pytest.mark.parametrize("how", ["update", "unchanged", "resume"])
async def test_it_is_a_warning_until_the_task_is_saved_or_resumed(system: GatewaySystem, how: str) -> None:
    tasks = system.admin.tasks
    task = a_task(schedule={"triggers": [{"event": {"topic": "mail.received", "when": "length(data) > `1`"}}]})
    await tasks.CreateTask(CreateTaskRequest(task=task, task_id="t"))
    async with system.database.connection() as connection:
        await connection.execute(DISABLE)
    found = await tasks.GetTask(GetTaskRequest(name="tasks/t"))
    [warning] = found.warnings
    assert re.search(r"trigger t0 was disabled at 20\d\d-\S+Z \(CONDITION_OVER_BUDGET\).*ResumeTask", warning)
    explained = await tasks.ExplainOccurrence(ExplainOccurrenceRequest(name="tasks/t"))
    [hindrance] = explained.hindrances
    assert (hindrance.kind, hindrance.resource) == (Hindrance.TRIGGER_DISABLED, "t0")
    assert hindrance.time.seconds > 0
    assert hindrance.message[1:] in explained.explanation
    assert "ResumeTask" in hindrance.message
    if how == "resume":
        await tasks.ResumeTask(ResumeTaskRequest(name="tasks/t"))
    else:
        found.description = "cheaper" if how == "update" else found.description
        await tasks.UpdateTask(UpdateTaskRequest(task=found, update_mask=FieldMask(paths=["description"])))
    assert not (await tasks.GetTask(GetTaskRequest(name="tasks/t"))).warnings
    assert not (await tasks.ExplainOccurrence(ExplainOccurrenceRequest(name="tasks/t"))).hindrances
    async with system.database.connection() as connection:  # a scheduler has still to give it what is pending
        assert await connection.fetchval("SELECT judged_position FROM event_trigger") == 0


async def test_large_conditions_are_refused(system: GatewaySystem) -> None:
    when = "length([" + ", ".join(["data"] * 101) + "]) > `1`"
    task = a_task(schedule={"triggers": [{"event": {"topic": "mail.received", "when": when}}]})
    refused = await refusal(system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="t")))
    assert refused.fields == ["task.schedule.triggers[0].event.when"]
