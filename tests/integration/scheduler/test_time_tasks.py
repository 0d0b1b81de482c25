"""Time at the gateway: explanations, previews, jitter, and what a change of the schedule does."""

from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict

from ordinaut.v1.schedule_pb2 import Schedule
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import (
    CreateTaskRequest,
    ExplainScheduleRequest,
    GetTaskRequest,
    PauseTaskRequest,
    PreviewScheduleRequest,
    UpdateTaskRequest,
)
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal

DAILY: dict[str, Any] = {"triggers": [{"cron": "30 3 * * *"}], "time_zone": "Europe/Bucharest"}
ENGLISH = (
    "Runs every day at 03:30, in the time of Europe/Bucharest. "
    "After an outage, the newest missed occurrence runs, up to 24 h late."
)


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


def schedule(**fields: Any) -> Schedule:
    return ParseDict(DAILY | fields, Schedule())


async def created(system: GatewaySystem, name: str, **fields: Any) -> Task:
    wanted = CreateTaskRequest(task=a_task(schedule=DAILY | fields), task_id=name)
    task: Task = await system.admin.tasks.CreateTask(wanted)
    return task


async def test_explain_describes_times_frequency_and_warnings(system: GatewaySystem) -> None:
    """In two languages, with the warnings of the coming year."""
    answer = await system.admin.tasks.ExplainSchedule(ExplainScheduleRequest(schedule=schedule()))
    assert answer.explanation == ENGLISH
    assert answer.runs_per_year in {365, 366}
    assert any("clocks skip 03:30" in warning for warning in answer.warnings)
    romanian = ExplainScheduleRequest(schedule=schedule(), language="ro")
    answer = await system.admin.tasks.ExplainSchedule(romanian)
    assert answer.explanation == (
        "Rulează în fiecare zi la 03:30, după ora din Europe/Bucharest. "
        "După o întrerupere, cea mai nouă ocurență ratată rulează, cu cel mult 24 h întârziere."
    )


async def test_explain_refuses_what_create_would_refuse(system: GatewaySystem) -> None:
    """The same problems at paths of this request, and languages that are not known."""
    wrong = ExplainScheduleRequest(schedule=schedule(exclusions=[{"date": "tomorrow"}], jitter="90000s"))
    assert (await refusal(system.admin.tasks.ExplainSchedule(wrong))).fields == [
        "schedule.jitter",
        "schedule.exclusions[0].date",
    ]
    wrong = ExplainScheduleRequest(schedule=schedule(), language="tlh")
    assert (await refusal(system.admin.tasks.ExplainSchedule(wrong))).fields == ["language"]


async def test_previews_leave_excluded_days_out(system: GatewaySystem) -> None:
    """And end where max_occurrences does."""
    wanted = schedule(
        exclusions=[{"date": "2030-01-02"}], max_occurrences=3, start_time="2030-01-01T00:00:00Z", dst={"gap": "SHIFT"}
    )
    answer = await system.admin.tasks.PreviewSchedule(PreviewScheduleRequest(schedule=wanted))
    assert [coming.local_time[:10] for coming in answer.occurrences] == ["2030-01-01", "2030-01-03", "2030-01-04"]
    assert answer.ends
    assert "3 times in all, except on 2030-01-02." in answer.explanation


async def test_triggers_have_zones_of_their_own(system: GatewaySystem) -> None:
    """A preview has the local time of each; a question about a zone is part of the message."""
    tokyo = {"cron": "0 9 * * *", "time_zone": "Asia/Tokyo"}
    wanted = schedule(triggers=[tokyo, {"cron": "0 9 * * *"}])
    answer = await system.admin.tasks.PreviewSchedule(PreviewScheduleRequest(schedule=wanted, count=4))
    assert {coming.local_time[11:] for coming in answer.occurrences} == {"09:00:00+09:00", "09:00:00+02:00"}
    made = await created(system, "zones", triggers=[tokyo])
    assert made.schedule.triggers[0].time_zone == "Asia/Tokyo"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await created(system, "offset", time_zone="GMT+2")
    assert "Etc/GMT-2 (always 2 h ahead of UTC" in str(refused.value.details())


async def test_a_task_carries_its_explanation(system: GatewaySystem) -> None:
    """After Create, Get and Update; of a paused one as well, without coming times."""
    made = await created(system, "daily")
    assert made.explanation == ENGLISH
    await system.admin.tasks.PauseTask(PauseTaskRequest(name="tasks/daily"))
    read = await system.admin.tasks.GetTask(GetTaskRequest(name="tasks/daily"))
    assert (read.explanation, len(read.upcoming)) == (made.explanation, 0)
    read.schedule.triggers[0].cron = "30 4 * * *"
    changed = await system.admin.tasks.UpdateTask(UpdateTaskRequest(task=read))
    assert "at 04:30" in changed.explanation


async def test_previews_have_jitter_once_the_task_exists(system: GatewaySystem) -> None:
    """The due moment stays; the start lies within the jitter."""
    made = await created(system, "jittered", jitter="3600s")
    assert {coming.note.rpartition("; ")[2] for coming in made.upcoming} == {"starts up to 1:00:00 later"}
    read = await system.admin.tasks.GetTask(GetTaskRequest(name="tasks/jittered"))
    for before, after in zip(made.upcoming, read.upcoming, strict=True):
        assert after.id == before.id
        late = after.fire_time.ToDatetime(UTC) - before.fire_time.ToDatetime(UTC)
        assert timedelta() <= late == after.jitter.ToTimedelta() < timedelta(hours=1)


async def test_a_change_of_each_schedule_field_plans_again(system: GatewaySystem) -> None:
    """A new generation begins; catch-up alone is read when it is needed."""
    await created(system, "one")
    generations = [1]
    changes: list[dict[str, Any]] = [
        {"exclusions": [{"date": "2030-01-01"}]}, {"dst": {"gap": "SKIP"}}, {"jitter": "60s"}, {"max_occurrences": 5},
        {"catch_up": {"policy": "ALL", "max": 5}},
    ]  # fmt: skip
    for change in changes:
        task = a_task(schedule=change, name="tasks/one")
        mask = FieldMask(paths=[f"schedule.{next(iter(change))}"])
        await system.admin.tasks.UpdateTask(UpdateTaskRequest(task=task, update_mask=mask))
        async with system.database.connection() as connection:
            generations.append(await connection.fetchval("SELECT generation FROM schedule_cursor"))
    assert generations == [1, 2, 3, 4, 5, 5]
