"""Backfills as callers see them: begun, foretold, looked at, cancelled, and named by what came of them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf.json_format import ParseDict

from ordinaut.v1.backfill_pb2 import Backfill
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import ListRunsRequest
from ordinaut.v1.task_service_pb2 import (
    CancelBackfillRequest,
    CreateBackfillRequest,
    CreateTaskRequest,
    DeleteTaskRequest,
    GetBackfillRequest,
    ListBackfillsRequest,
    ListOccurrencesRequest,
    PauseTaskRequest,
    UpdateTaskRequest,
)
from scheduler.firing.backfill import Backfill as PeriodicLoop
from scheduler.firing.plan import Plan
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import GatewaySystem, Refusal, a_task, gateway_system, refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
UNTIL = datetime(2026, 1, 1, 6, 0, tzinfo=UTC)


class _Silent:
    def send(self, *_hints: str) -> None:
        """Nobody listens."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str) -> AsyncIterator[GatewaySystem]:
    async with fresh_database(postgres_url) as url, gateway_system(url) as started:
        yield started


async def hourly(system: GatewaySystem, name: str) -> str:
    """A task that is due each hour; its name."""
    schedule = {"triggers": [{"cron": "0 * * * *", "params": {"by": "cron"}}], "time_zone": "UTC"}
    task = a_task(schedule=schedule, params_schema=SCHEMA)
    return str((await system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id=name))).name)


def six_hours(parent: str, name: str = "again", **fields: Any) -> CreateBackfillRequest:
    """A backfill of one to six o'clock."""
    more: dict[str, Any] = {key: fields.pop(key) for key in ("validate_only", "request_id") if key in fields}
    asked = {"after_time": "2026-01-01T00:00:00Z", "until_time": "2026-01-01T06:00:00Z", **fields}
    return ParseDict({"parent": parent, "backfill": asked, "backfill_id": name, **more}, CreateBackfillRequest())


async def enqueue(system: GatewaySystem) -> None:
    """The scheduler's part: there is none in this system."""
    while await Plan(system.database, _Silent(), 10).run_once():  # type: ignore[arg-type]
        pass
    while await PeriodicLoop(system.database, _Silent()).run_once():  # type: ignore[arg-type]
        pass


async def runs_of(system: GatewaySystem, backfill: str) -> list[Run]:
    answer = await system.admin.runs.ListRuns(
        ListRunsRequest(filter=f'backfill = "{backfill}"', order_by="create_time")
    )
    return list(answer.runs)


async def test_runs_and_occurrences_name_their_backfill(system: GatewaySystem) -> None:
    parent = await hourly(system, "begun")
    request = six_hours(parent, params={"x": 7}, parallelism=2, request_id="once")
    begun = await system.admin.tasks.CreateBackfill(request)
    assert begun.name == f"{parent}/backfills/again"
    assert (begun.state, begun.total, begun.order, begun.reprocess) == (
        Backfill.RUNNING, 6, Backfill.OLDEST_FIRST, Backfill.NONE,
    )  # fmt: skip
    assert (begun.parallelism, begun.priority, begun.task_version) == (2, 9, 1)
    assert await system.admin.tasks.CreateBackfill(request) == begun
    await enqueue(system)
    runs = await runs_of(system, begun.name)
    assert [run.scheduled_time.ToDatetime(UTC).hour for run in runs] == [1, 2]
    assert all((run.kind, run.backfill, run.task) == (Run.BACKFILL, begun.name, parent) for run in runs)
    assert dict(runs[0].params) == {"x": 7, "by": "cron"}
    listed = await system.admin.tasks.ListOccurrences(
        ListOccurrencesRequest(parent=parent, filter=f'backfill = "{begun.name}"', order_by="time")
    )
    assert [(entry.run, entry.backfill) for entry in listed.occurrences] == [(run.name, begun.name) for run in runs]
    read = await system.admin.tasks.GetBackfill(GetBackfillRequest(name=begun.name))
    assert (read.enqueued, read.state) == (2, Backfill.RUNNING)


async def test_a_dry_run_stores_nothing(system: GatewaySystem) -> None:
    parent = await hourly(system, "dry")
    first = await system.admin.tasks.CreateBackfill(six_hours(parent, "first", until_time="2026-01-01T02:00:00Z"))
    await enqueue(system)
    told = await system.admin.tasks.CreateBackfill(six_hours(parent, validate_only=True, order="NEWEST_FIRST"))
    assert (told.state, told.total, told.enqueued, told.skipped) == (Backfill.STATE_UNSPECIFIED, 6, 4, 2)
    assert [time.ToDatetime(UTC).hour for time in told.first_due_times] == [6, 5, 4, 3]
    everything = six_hours(parent, validate_only=True, reprocess="ALL")
    assert (await system.admin.tasks.CreateBackfill(everything)).enqueued == 6
    listed = await system.admin.tasks.ListBackfills(ListBackfillsRequest(parent=parent))
    assert [found.name for found in listed.backfills] == [first.name]


async def test_a_cancelled_backfill_may_cancel_its_runs(system: GatewaySystem) -> None:
    parent = await hourly(system, "cancelled")
    begun = await system.admin.tasks.CreateBackfill(six_hours(parent, parallelism=2))
    await enqueue(system)
    stopped = await system.admin.tasks.CancelBackfill(CancelBackfillRequest(name=begun.name, reason="enough"))
    assert (stopped.state, stopped.state_reason, stopped.enqueued) == (Backfill.CANCELLED, "enough", 2)
    assert stopped.HasField("end_time")
    assert {run.state for run in await runs_of(system, begun.name)} == {Run.QUEUED}
    request = CancelBackfillRequest(name=begun.name, cancel_runs=True, reason="really")
    assert await system.admin.tasks.CancelBackfill(request) == stopped
    assert {(run.state, run.cancel_reason) for run in await runs_of(system, begun.name)} == {(Run.CANCELLED, "really")}


async def test_a_completed_backfill_cannot_be_cancelled(system: GatewaySystem) -> None:
    parent = await hourly(system, "over")
    for name in ("first", "second"):  # nothing is left for the second one
        begun = await system.admin.tasks.CreateBackfill(six_hours(parent, name, parallelism=10))
        await enqueue(system)
    over = await system.admin.tasks.GetBackfill(GetBackfillRequest(name=begun.name))
    assert (over.state, over.skipped) == (Backfill.COMPLETED, 6)
    found = await refusal(system.admin.tasks.CancelBackfill(CancelBackfillRequest(name=begun.name)))
    assert found == Refusal("FAILED_PRECONDITION", "BACKFILL_STATE", {"state": "COMPLETED"}, [], False, 0)


async def test_backfills_are_paused_and_deleted_with_their_task(system: GatewaySystem) -> None:
    parent = await hourly(system, "paused")
    begun = await system.admin.tasks.CreateBackfill(six_hours(parent))
    await system.admin.tasks.PauseTask(PauseTaskRequest(name=parent))
    read = await system.admin.tasks.GetBackfill(GetBackfillRequest(name=begun.name))
    assert read.state == Backfill.PAUSED
    listed = await system.admin.tasks.ListBackfills(ListBackfillsRequest(parent=parent, filter="state = PAUSED"))
    assert list(listed.backfills) == [read]
    await system.admin.tasks.DeleteTask(DeleteTaskRequest(name=parent))
    async with system.database.connection() as connection:
        left = await connection.fetchval(
            "SELECT count(*) FROM backfill AS b JOIN task AS t ON t.uid = b.task "
            "WHERE t.name = 'paused' AND b.state = 'RUNNING'"
        )
    assert left == 0


async def test_a_backfill_pins_the_task_version(system: GatewaySystem) -> None:
    parent = await hourly(system, "versions")
    begun = await system.admin.tasks.CreateBackfill(six_hours(parent, parallelism=1))
    task = a_task(name=parent, schedule={"triggers": [{"cron": "*/5 * * * *"}], "time_zone": "UTC"})
    await system.admin.tasks.UpdateTask(ParseDict({"update_mask": "schedule"}, UpdateTaskRequest(task=task)))
    await enqueue(system)
    [run] = await runs_of(system, begun.name)
    assert (run.task_version, run.interval.end_time.ToDatetime(UTC).hour) == (1, 2)


async def test_ids_are_unique_and_running_backfills_are_limited(system: GatewaySystem) -> None:
    parent = await hourly(system, "ten")
    await system.admin.tasks.CreateBackfill(six_hours(parent, "b0"))
    twin = await refusal(system.admin.tasks.CreateBackfill(six_hours(parent, "b0")))
    assert (twin.code, twin.reason) == ("ALREADY_EXISTS", "RESOURCE_EXISTS")
    unnamed = six_hours(parent, "")
    made = await system.admin.tasks.CreateBackfill(unnamed)
    assert made.name.startswith(f"{parent}/backfills/0")
    assert (await system.admin.tasks.GetBackfill(GetBackfillRequest(name=made.name))).name == made.name
    for _ in range(8):
        await system.admin.tasks.CreateBackfill(unnamed)
    found = await refusal(system.admin.tasks.CreateBackfill(unnamed))
    assert (found.code, found.reason, found.metadata["limit"]) == ("RESOURCE_EXHAUSTED", "LIMIT_REACHED", "10")
    page = await system.admin.tasks.ListBackfills(ListBackfillsRequest(parent=parent, page_size=4))
    rest = ListBackfillsRequest(parent=parent, page_size=100, page_token=page.next_page_token)
    everything = [*page.backfills, *(await system.admin.tasks.ListBackfills(rest)).backfills]
    times = [found.create_time.ToDatetime(UTC) for found in everything]
    assert (len(everything), times) == (10, sorted(times, reverse=True))


async def test_params_are_validated_against_the_tasks_schema(system: GatewaySystem) -> None:
    parent = await hourly(system, "params")
    found = await refusal(system.admin.tasks.CreateBackfill(six_hours(parent, params={"x": "no"})))
    assert (found.code, found.fields) == ("INVALID_ARGUMENT", ["backfill.params.x"])


async def test_without_an_end_the_range_ends_now(system: GatewaySystem) -> None:
    parent = await hourly(system, "now")
    begin = (datetime.now(UTC) - timedelta(hours=5)).isoformat()
    asked = ParseDict({"parent": parent, "backfill": {"after_time": begin}}, CreateBackfillRequest())
    assert (await system.admin.tasks.CreateBackfill(asked)).total == 5
