"""Many requests in one call are done together or not at all; checks and previews change nothing."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import BatchPublishEventsRequest, ListEventsRequest, PublishEventRequest
from ordinaut.v1.task_service_pb2 import (
    BatchCreateTasksRequest,
    CreateTaskRequest,
    ListTasksRequest,
    PreviewScheduleRequest,
    ValidateTaskRequest,
)
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")
BROKEN = {"steps": [{"id": "a", "uses": "orchestrator.sett", "with": {}}]}
WEEKLY = {"triggers": [{"cron": "0 9 * * 1"}], "time_zone": "Europe/Bucharest"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str) -> AsyncIterator[GatewaySystem]:
    async with fresh_database(postgres_url) as url, gateway_system(url) as started:
        yield started


def tasks(*names: str, **fields: Any) -> BatchCreateTasksRequest:
    """A batch of tasks with these names."""
    return BatchCreateTasksRequest(requests=[CreateTaskRequest(task=a_task(**fields), task_id=name) for name in names])


def preview(**fields: Any) -> PreviewScheduleRequest:
    return json_format.ParseDict(fields, PreviewScheduleRequest())


async def names(system: GatewaySystem) -> set[str]:
    """Of all tasks."""
    return {task.name for task in (await system.admin.tasks.ListTasks(ListTasksRequest(page_size=1000))).tasks}


async def test_responses_are_in_the_order_of_the_batch(system: GatewaySystem) -> None:
    """Each with its next times; and told in the log."""
    request = tasks("zebra", "apple", "mango", schedule=WEEKLY)
    answer = await system.admin.tasks.BatchCreateTasks(request)
    assert [task.name for task in answer.tasks] == ["tasks/zebra", "tasks/apple", "tasks/mango"]
    assert [len(task.upcoming) for task in answer.tasks] == [5, 5, 5]
    assert {"tasks/zebra", "tasks/apple", "tasks/mango"} <= await names(system)


async def test_a_batch_may_contain_a_thousand_tasks(system: GatewaySystem) -> None:
    """Well inside the deadline of a call; one more is too many."""
    many = [f"many-{number}" for number in range(1000)]
    answer = await system.admin.tasks.BatchCreateTasks(tasks(*many))
    assert len(answer.tasks) == 1000
    refused = await refusal(system.admin.tasks.BatchCreateTasks(tasks(*many, "more")))
    assert (refused.code, refused.reason, refused.fields) == ("INVALID_ARGUMENT", "TOO_LARGE", ["requests"])


async def test_an_invalid_task_rejects_the_whole_batch(system: GatewaySystem) -> None:
    """Every problem of every one is named with its place, and fixes move there too."""
    request = tasks("good")
    request.requests.add(task=a_task(pipeline=BROKEN), task_id="Bad Name")
    request.requests.add(task=a_task(schedule={**WEEKLY, "time_zone": "Europe/Bucuresti"}), task_id="late")
    refused = await refusal(system.admin.tasks.BatchCreateTasks(request))
    assert refused.code == "INVALID_ARGUMENT"
    assert refused.fields == [
        "requests[1].task_id",
        "requests[1].task.pipeline.steps[0].uses",
        "requests[2].task.schedule.time_zone",
    ]
    assert refused.fixes >= 1
    assert "tasks/good" not in await names(system)


async def test_a_taken_name_rejects_the_whole_batch(system: GatewaySystem) -> None:
    """Taken before, or twice in the batch."""
    await system.admin.tasks.BatchCreateTasks(tasks("taken"))
    refused = await refusal(system.admin.tasks.BatchCreateTasks(tasks("free", "taken")))
    assert (refused.code, refused.metadata) == ("ALREADY_EXISTS", {"resource": "tasks/taken"})
    twins = await refusal(system.admin.tasks.BatchCreateTasks(tasks("free", "other", "free")))
    assert (twins.code, twins.fields) == ("INVALID_ARGUMENT", ["requests[2].task_id"])
    assert "tasks/free" not in await names(system)


async def test_a_batch_has_one_request_id(system: GatewaySystem) -> None:
    """A repeated batch is answered as before; its parts have none of their own; an empty one is none."""
    request = tasks("once-a", "once-b")
    request.request_id = "batch"
    first = await system.admin.tasks.BatchCreateTasks(request)
    assert await system.admin.tasks.BatchCreateTasks(request) == first
    request.requests[1].request_id = "own"
    request.request_id = ""
    refused = await refusal(system.admin.tasks.BatchCreateTasks(request))
    assert refused.fields == ["requests[1].request_id"]
    assert (await refusal(system.admin.tasks.BatchCreateTasks(tasks()))).reason == "FIELD_REQUIRED"


async def test_a_validated_task_is_not_stored(system: GatewaySystem) -> None:
    """The answer shows it as it would be: normalised, with times and warnings."""
    wanted = a_task(schedule=WEEKLY, display_name="Weekly")
    shown = await system.admin.tasks.ValidateTask(ValidateTaskRequest(task=wanted, task_id="checked"))
    assert (shown.name, shown.display_name, len(shown.upcoming)) == ("tasks/checked", "Weekly", 5)
    assert shown.schedule.triggers[0].id == "t0"
    stored = await system.admin.tasks.CreateTask(CreateTaskRequest(task=wanted, task_id="checked"))
    assert (stored.pipeline, stored.schedule) == (shown.pipeline, shown.schedule)
    assert await system.admin.tasks.ValidateTask(ValidateTaskRequest(task=wanted, task_id="checked"))


async def test_an_invalid_task_is_refused_as_at_creation(system: GatewaySystem) -> None:
    """Code, reason, places and fixes are the same."""
    wrong = a_task(pipeline=BROKEN, schedule={**WEEKLY, "time_zone": "Mars"}, display_name=" ")
    refused = await refusal(system.admin.tasks.ValidateTask(ValidateTaskRequest(task=wrong, task_id="X")))
    assert refused == await refusal(system.admin.tasks.CreateTask(CreateTaskRequest(task=wrong, task_id="X")))
    assert len(refused.fields) == 4


async def test_a_schedule_is_previewed_from_any_time(system: GatewaySystem) -> None:
    """Local times carry the offset; what ends says so."""
    answer = await system.admin.tasks.PreviewSchedule(
        preview(schedule=WEEKLY, after_time="2030-03-25T00:00:00Z", count=2)
    )
    assert [coming.local_time for coming in answer.occurrences] == [
        "2030-03-25T09:00:00+02:00",
        "2030-04-01T09:00:00+03:00",
    ]
    assert not answer.ends
    last = {**WEEKLY, "end_time": "2030-04-02T00:00:00Z"}
    answer = await system.admin.tasks.PreviewSchedule(
        preview(schedule=last, after_time="2030-03-25T00:00:00Z", count=1000)
    )
    assert (len(answer.occurrences), answer.ends) == (2, True)


async def test_an_invalid_preview_lists_its_violations(system: GatewaySystem) -> None:
    """With paths into this request."""
    wrong = preview(schedule={"triggers": [{"cron": "61 * * * *"}], "time_zone": "Mars"})
    refused = await refusal(system.admin.tasks.PreviewSchedule(wrong))
    assert set(refused.fields) == {"schedule.triggers[0].cron", "schedule.time_zone"}
    refused = await refusal(system.admin.tasks.PreviewSchedule(preview(schedule=WEEKLY, count=1001)))
    assert refused.fields == ["count"]


async def test_events_are_published_together(system: GatewaySystem) -> None:
    """In their order, each id once, also twice in one batch; none when one is wrong."""
    numbers = [0, 1, 2, 3, 0]
    events = [Event(topic=f"batch.n{number}", id=str(number), source="there") for number in numbers]
    request = BatchPublishEventsRequest(requests=[PublishEventRequest(event=event) for event in events])
    answer = await system.admin.events.BatchPublishEvents(request)
    assert [event.topic for event in answer.events] == [event.topic for event in events]
    assert answer.events[4].name == answer.events[0].name
    again = await system.admin.events.BatchPublishEvents(request)
    assert [event.name for event in again.events] == [event.name for event in answer.events]
    request.requests[3].event.topic = "a b"
    request.requests[0].event.topic = "c d"
    refused = await refusal(system.admin.events.BatchPublishEvents(request))
    assert refused.fields == ["requests[0].event.topic", "requests[3].event.topic"]
    async with system.database.connection() as connection:
        told = await connection.fetchval(
            "SELECT string_agg(events::text, '') FROM outbox WHERE events::text LIKE '%batch.n%'"
        )
    assert [told.count(f'"batch.n{number}"') for number in range(4)] == [1, 1, 1, 1]


async def test_a_forbidden_topic_rejects_the_whole_batch(system: GatewaySystem) -> None:
    """The token's topics hold for each event of a batch."""
    mailer = await system.agent("mailer", "events:publish:mail.*", "events:read")
    request = BatchPublishEventsRequest(
        requests=[PublishEventRequest(event=Event(topic=topic)) for topic in ("mail.sent", "order.sent")]
    )
    refused = await refusal(mailer.events.BatchPublishEvents(request))
    assert (refused.code, refused.metadata["scopes"]) == ("PERMISSION_DENIED", "events:publish:order.sent")
    found = await mailer.events.ListEvents(ListEventsRequest(topic="mail.sent"))
    assert not found.events
