"""SkipOccurrence and SnoozeTask as callers see them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict

from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import (
    CreateTaskRequest,
    GetTaskRequest,
    ListOccurrencesRequest,
    PauseTaskRequest,
    SkipOccurrenceRequest,
    SnoozeTaskRequest,
)
from scheduler.firing.plan import Plan
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal

NAME = "tasks/daily"


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        task = a_task(schedule={"triggers": [{"cron": "0 9 * * *"}], "time_zone": "UTC"})
        await started.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="daily"))
        yield started


async def daily(system: GatewaySystem) -> Task:
    found: Task = await system.admin.tasks.GetTask(GetTaskRequest(name=NAME))
    return found


def snooze(**fields: object) -> SnoozeTaskRequest:
    return ParseDict({"name": NAME, **fields}, SnoozeTaskRequest())


async def plan(system: GatewaySystem) -> None:
    """The scheduler's part: there is none in this system."""
    while await Plan(system.database, _Silent(), 10).run_once():  # type: ignore[arg-type]
        pass


class _Silent:
    def send(self, *_hints: str) -> None:
        """Nobody listens."""


async def test_a_skipped_occurrence_is_recorded_and_no_longer_upcoming(system: GatewaySystem) -> None:
    coming = (await daily(system)).upcoming
    request = SkipOccurrenceRequest(name=NAME, occurrence=coming[1].id, reason="holiday", request_id="once")
    skipped = await system.admin.tasks.SkipOccurrence(request)
    assert skipped.name == f"{NAME}/occurrences/{coming[1].id}"
    assert (skipped.outcome, skipped.reason, skipped.trigger) == (Occurrence.SKIPPED, "holiday", "t0")
    assert await system.admin.tasks.SkipOccurrence(request) == skipped
    request.request_id = ""
    assert await system.admin.tasks.SkipOccurrence(request) == skipped
    after = [found.id for found in (await daily(system)).upcoming]
    assert len(after) == 5
    assert after[:4] == [coming[0].id, coming[2].id, coming[3].id, coming[4].id]
    listed = await system.admin.tasks.ListOccurrences(ListOccurrencesRequest(parent=NAME, filter="outcome = SKIPPED"))
    assert list(listed.occurrences) == [skipped]
    async with system.database.connection() as connection:
        key = await connection.fetchval("SELECT key FROM occurrence")
    assert key == f"1/cron:{coming[1].id.removesuffix('Z')}"


@pytest.mark.parametrize(
    ("occurrence", "code"),
    [
        ("", "INVALID_ARGUMENT"),
        ("tomorrow", "INVALID_ARGUMENT"),
        ("20990101T090000", "INVALID_ARGUMENT"),
        ("00010101T000000Z", "INVALID_ARGUMENT"),
        ("99991231T090000Z", "NOT_FOUND"),
        ("20990101T090001Z", "NOT_FOUND"),
        ("20200101T090000Z", "NOT_FOUND"),
        ("run-0", "INVALID_ARGUMENT"),
    ],
)
async def test_only_a_future_occurrence_can_be_skipped(system: GatewaySystem, occurrence: str, code: str) -> None:
    found = await refusal(system.admin.tasks.SkipOccurrence(SkipOccurrenceRequest(name=NAME, occurrence=occurrence)))
    assert found.code == code


async def test_the_next_occurrence_is_snoozed_by_a_duration_or_to_a_time(system: GatewaySystem) -> None:
    before = (await daily(system)).upcoming
    await plan(system)
    request = snooze(delay="600s", request_id="once")
    for _ in range(2):
        answer = await system.admin.tasks.SnoozeTask(request)
        assert answer.upcoming[0].fire_time.seconds == before[0].fire_time.seconds + 600
        start = answer.upcoming[0].fire_time.ToDatetime(UTC)
        assert answer.upcoming[0].note == f"snoozed until {start:%Y-%m-%dT%H:%M:%SZ}"
    assert answer.upcoming[0].id == before[0].id
    assert answer.upcoming[1] == before[1]
    start = datetime.fromtimestamp(before[0].fire_time.seconds, UTC) + timedelta(hours=3)
    await system.admin.tasks.SnoozeTask(snooze(until_time=start.isoformat()))
    assert (await daily(system)).upcoming[0].fire_time.ToDatetime(UTC) == start


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "delay"),
        ({"delay": "0s"}, "delay"),
        ({"delay": "-5s"}, "delay"),
        ({"delay": "86400s"}, "delay"),
        ({"until_time": "2020-01-01T00:00:00Z"}, "until_time"),
        ({"until_time": "2199-01-01T00:00:00Z"}, "until_time"),
    ],
)
async def test_a_snooze_ends_before_the_following_occurrence(
    system: GatewaySystem, fields: dict[str, str], field: str
) -> None:
    await plan(system)
    found = await refusal(system.admin.tasks.SnoozeTask(snooze(**fields)))
    assert (found.code, found.fields) == ("INVALID_ARGUMENT", [field])


async def test_a_task_without_next_occurrence_cannot_be_snoozed(system: GatewaySystem) -> None:
    coming = (await daily(system)).upcoming
    await plan(system)
    await system.admin.tasks.SkipOccurrence(SkipOccurrenceRequest(name=NAME, occurrence=coming[0].id))
    skipped = await refusal(system.admin.tasks.SnoozeTask(snooze(delay="60s")))
    await system.admin.tasks.PauseTask(PauseTaskRequest(name=NAME))
    paused = await refusal(system.admin.tasks.SnoozeTask(snooze(delay="60s")))
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="manual"))
    await plan(system)
    manual = await refusal(
        system.admin.tasks.SnoozeTask(SnoozeTaskRequest(name="tasks/manual", delay=Duration(seconds=5)))
    )
    assert {(found.code, found.reason) for found in (skipped, paused, manual)} == {
        ("FAILED_PRECONDITION", "TASK_STATE")
    }
