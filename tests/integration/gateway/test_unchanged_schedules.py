"""A task that is stored again as it is keeps its cursor; a change moves only what it is about."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import pytest_asyncio
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict

from ordinaut.cli.apply import apply
from ordinaut.cli.commands.tasks.apply import verbs_of
from ordinaut.cli.commands.tasks.documents import read_task
from ordinaut.cli.sources import Source
from ordinaut.client import Client
from ordinaut.documents.yaml_text import read_yaml
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import (
    CreateTaskRequest,
    SkipOccurrenceRequest,
    SnoozeTaskRequest,
    UpdateTaskRequest,
)
from scheduler.firing.plan import Plan
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system

FILE = """
name: tasks/one
labels: {team: mail}
schedule:
  time_zone: Europe/Berlin
  triggers:
    - {interval: 1h}
    - {rrule: "FREQ=DAILY;INTERVAL=3;COUNT=40"}
    - {cron: "@daily"}
    - {event: {topic: mail.new}}
  exclusions:
    - {rrule: "FREQ=MONTHLY;BYDAY=1MO"}
  max_occurrences: 90
run_policy: {priority: 3, run_timeout: 90m}
params: {x: 1}
pipeline:
  steps:
    - {id: a, uses: orchestrator.set, with: {x: "${params.x}"}}
"""
OTHER_SPELLING = """
params: {x: 1.0}
pipeline:
  steps:
    - {with: {x: "${params.x}"}, id: a, uses: orchestrator.set}
runPolicy: {runTimeout: PT1H30M, priority: 3}
schedule:
  maxOccurrences: 90
  exclusions:
    - {rrule: "RRULE:BYDAY=1MO;FREQ=MONTHLY;INTERVAL=1"}
  triggers:
    - {interval: 60m}
    - {rrule: "COUNT=40;INTERVAL=3;FREQ=DAILY"}
    - {cron: 0 0 * * *}
    - {event: {topic: mail.new}}
  timeZone: Europe/Berlin
  dst: {}
labels: {team: mail}
name: tasks/one
"""


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


class _Silent:
    def send(self, *_hints: str) -> None:
        """The test plans by itself."""


async def plan(system: GatewaySystem) -> None:
    while await Plan(system.database, _Silent(), 10).run_once():  # type: ignore[arg-type]
        pass


async def rows(system: GatewaySystem, *tables: str) -> list[Any]:
    """The content of the tables, without the log of requests and the like."""
    async with system.database.connection() as connection:
        return [
            [orjson.loads(row[0]) for row in await connection.fetch(f"SELECT to_jsonb(t)::text FROM {table} AS t")]
            for table in tables
        ]


EVERYTHING = ("task", "task_version", "schedule_cursor", "event_trigger", "occurrence", "unsettled_range", "outbox")


async def applied(system: GatewaySystem, text: str) -> tuple[Task, str]:
    """`ordinaut task apply` of a file."""
    async with Client(f"127.0.0.1:{system.port}", system.admin.token) as client:
        task, outcome = await apply(read_task(Source(read_yaml(text.encode()))).task, verbs_of(client))
    await plan(system)
    return task, outcome


@pytest.mark.parametrize("text", [FILE, OTHER_SPELLING])
async def test_applying_an_unchanged_file_writes_nothing(system: GatewaySystem, text: str) -> None:
    """Neither a version, nor an etag, nor an event; the cursor, a snooze and a skip stay."""
    first, outcome = await applied(system, FILE)
    assert outcome == "created"
    snooze = ParseDict({"name": first.name, "delay": "60s"}, SnoozeTaskRequest())
    await system.admin.tasks.SnoozeTask(snooze)
    skip = SkipOccurrenceRequest(name=first.name, occurrence=first.upcoming[1].id)
    await system.admin.tasks.SkipOccurrence(skip)
    before = await rows(system, *EVERYTHING)
    for _ in range(5):
        again, outcome = await applied(system, text)
        assert (outcome, again.version) == ("unchanged", 1)
        assert again.schedule == first.schedule
    assert await rows(system, *EVERYTHING) == before


@pytest.mark.parametrize(
    ("paths", "fields"),
    [
        ([], {}),
        (["*"], {}),
        (["schedule"], {}),
        (["schedule.time_zone", "schedule.triggers"], {}),
        (["labels"], {"labels": {"a": "b"}}),
        (["run_policy"], {"run_policy": {"priority": 9}}),
        (["pipeline"], {"pipeline": {"steps": [{"id": "b", "uses": "orchestrator.set", "with": {}}]}}),
        (["*"], {"labels": {"a": "b"}, "params": {"x": 2}, "run_policy": {"priority": 1}}),
    ],
)
async def test_changes_elsewhere_leave_the_cursor(
    system: GatewaySystem, paths: list[str], fields: dict[str, Any]
) -> None:
    """With any mask, as long as the schedule that is sent is equal."""
    first, _ = await applied(system, FILE)
    before = await rows(system, "schedule_cursor", "event_trigger", "unsettled_range")
    written = {**read_yaml(FILE.encode()), **fields}
    changes = read_task(Source(written)).task
    updated = await system.admin.tasks.UpdateTask(UpdateTaskRequest(task=changes, update_mask=FieldMask(paths=paths)))
    await plan(system)
    assert updated.schedule == first.schedule
    assert await rows(system, "schedule_cursor", "event_trigger", "unsettled_range") == before


async def test_a_new_trigger_does_not_move_the_others(system: GatewaySystem) -> None:
    """They keep id, anchor and instants; so do event triggers their position."""
    first, _ = await applied(system, FILE)
    position = await rows(system, "event_trigger")
    document = read_yaml(FILE.encode())
    document["schedule"]["triggers"].insert(0, {"interval": "7m"})
    document["schedule"]["triggers"].reverse()
    changed = await system.admin.tasks.UpdateTask(
        UpdateTaskRequest(task=read_task(Source(document)).task, update_mask=FieldMask(paths=["schedule"]))
    )
    await plan(system)
    assert [trigger.id for trigger in changed.schedule.triggers] == ["t3", "t2", "t1", "t0", "t4"]
    kept = {trigger.id: trigger for trigger in changed.schedule.triggers}
    assert all(kept[trigger.id] == trigger for trigger in first.schedule.triggers)
    assert await rows(system, "event_trigger") == position
    assert changed.schedule.counted_before == 0
    [[stored]] = await rows(system, "schedule_cursor")
    assert stored["generation"] == 2
    assert datetime.fromisoformat(stored["next_instant"]) == changed.upcoming[0].fire_time.ToDatetime(UTC)


async def test_a_count_runs_that_often(system: GatewaySystem) -> None:
    """The cursor of a task with COUNT=3 has three instants after its creation, and then ends."""
    task = a_task(schedule={"triggers": [{"rrule": "FREQ=HOURLY;COUNT=3"}], "time_zone": "UTC"})
    created = await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="counted"))
    assert len(created.upcoming) == 3
    start = created.create_time.ToDatetime(UTC)
    times = [coming.fire_time.ToDatetime(UTC) for coming in created.upcoming]
    assert times[0] - start <= timedelta(hours=1)
    assert times[2] - times[0] == timedelta(hours=2)
    await plan(system)
    seen = []
    for _ in range(5):
        [[stored]] = await rows(system, "schedule_cursor")
        if stored["next_instant"] is None:
            break
        seen.append(datetime.fromisoformat(stored["next_instant"]))
        async with system.database.connection() as connection:
            await connection.execute(
                "UPDATE schedule_cursor SET last_instant = next_instant, next_instant = NULL, next_fire_time = NULL"
            )
        await plan(system)
    assert seen == times


async def test_a_new_zone_moves_the_rules_and_the_holidays_with_it(system: GatewaySystem) -> None:
    """Christmas stays on the 25th; a start that the caller wrote in another zone stays and is named."""
    own = "DTSTART;TZID=Europe/Berlin:20261225T120000\nRRULE:FREQ=YEARLY"
    schedule = {
        "triggers": [{"rrule": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0"}],
        "time_zone": "Europe/Berlin",
        "exclusions": [{"rrule": "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25"}, {"rrule": own}],
    }
    created = await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(schedule=schedule), task_id="zoned"))
    change = ParseDict({"name": created.name, "schedule": {"time_zone": "Asia/Tokyo"}}, Task())
    mask = FieldMask(paths=["schedule.time_zone"])
    changed = await system.admin.tasks.UpdateTask(UpdateTaskRequest(task=change, update_mask=mask))
    assert {coming.local_time[11:] for coming in changed.upcoming} == {"09:00:00+09:00"}
    assert changed.schedule.triggers[0].rrule.startswith("DTSTART;TZID=Asia/Tokyo:")
    assert changed.schedule.exclusions[0].rrule.startswith("DTSTART;TZID=Asia/Tokyo:")
    assert changed.schedule.exclusions[1].rrule == own
    named = [warning for warning in changed.warnings if "Europe/Berlin" in warning]
    assert named == ["exclusions[1]: its DTSTART is in Europe/Berlin, the schedule in Asia/Tokyo"]
