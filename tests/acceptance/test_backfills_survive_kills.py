"""Each moment of a backfill runs exactly once, whichever scheduler or worker is killed in the middle."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from google.protobuf.json_format import ParseDict

from ordinaut.client import Client
from ordinaut.v1.backfill_pb2 import Backfill
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import ListRunsRequest
from ordinaut.v1.task_service_pb2 import CreateBackfillRequest, GetBackfillRequest, ListOccurrencesRequest
from tests.acceptance.scheduler_replicas import Schedulers
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task
from tests.sample import amount

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
MOMENTS = amount("ORDINAUT_TEST_MOMENTS", 400, 1_500)
SCHEDULERS = 2
DRAIN_SECONDS = 120.0
LOOK_SECONDS = 0.1  # how often progress is read: nothing tells of it
PIPELINE = {"version": 1, "steps": [{"id": "a", "uses": "orchestrator.set", "with": {"at": "${run.scheduled_time}"}}]}


async def begin(client: Client, name: str, order: str) -> str:
    """A backfill of MOMENTS minutes; its name."""
    asked = {
        "after_time": (BEGIN - timedelta(seconds=1)).isoformat(),
        "until_time": (BEGIN + timedelta(minutes=MOMENTS - 1)).isoformat(),
        "order": order,
        "parallelism": 200,
    }
    request = ParseDict({"parent": f"tasks/{name}", "backfill": asked, "backfill_id": "again"}, CreateBackfillRequest())
    return (await client.tasks.CreateBackfill(request)).name


async def kill_some(schedulers: Schedulers, system: SystemUnderTest, stop: asyncio.Event) -> int:
    """kill -9 of a scheduler or a worker every now and then, until told to stop; how many."""
    random, kills = Random(7), 0
    while not stop.is_set():
        await asyncio.sleep(random.uniform(0.2, 1.5))
        kills += 1
        if kills % 4 == 0:
            await system.kill("worker")
        else:
            await schedulers.kill(kills % SCHEDULERS)
    return kills


async def completed(client: Client, name: str) -> Backfill:
    async with asyncio.timeout(DRAIN_SECONDS):
        while True:
            found = await client.tasks.GetBackfill(GetBackfillRequest(name=name))
            if found.state == Backfill.COMPLETED:
                return found
            await asyncio.sleep(LOOK_SECONDS)


async def runs_of(client: Client, backfill: str) -> list[Run]:
    request = ListRunsRequest(filter=f'backfill = "{backfill}"', page_size=1000)
    found: list[Run] = []
    while True:
        answer = await client.runs.ListRuns(request)
        found += answer.runs
        request.page_token = answer.next_page_token
        if not request.page_token:
            return found


async def ledger(client: Client, name: str) -> list[Occurrence]:
    request = ListOccurrencesRequest(parent=f"tasks/{name}", page_size=1000, order_by="time")
    found: list[Occurrence] = []
    while True:
        answer = await client.tasks.ListOccurrences(request)
        found += answer.occurrences
        request.page_token = answer.next_page_token
        if not request.page_token:
            return found


async def test_every_moment_runs_once_while_schedulers_and_workers_are_killed(tmp_path: Path) -> None:
    schedule = {"triggers": [{"cron": "* * * * *"}], "time_zone": "UTC", "end_time": "2199-01-01T00:00:00Z"}
    wanted = [BEGIN + timedelta(minutes=number) for number in range(MOMENTS)]
    async with SystemUnderTest(tmp_path / "data") as system, Schedulers(system, tmp_path, SCHEDULERS - 1) as schedulers:
        async with system.client() as client:
            names, stop = [], asyncio.Event()
            for task, order in (("older", "OLDEST_FIRST"), ("newer", "NEWEST_FIRST")):
                await create_task(client, task, PIPELINE, schedule=schedule)
                names.append(await begin(client, task, order))
            killing = asyncio.create_task(kill_some(schedulers, system, stop))
            done = [await completed(client, name) for name in names]
            stop.set()
            kills = await killing
            for task, backfill in zip(("older", "newer"), done, strict=True):
                assert (backfill.total, backfill.enqueued, backfill.succeeded) == (MOMENTS, MOMENTS, MOMENTS)
                runs = await runs_of(client, backfill.name)
                assert sorted(run.scheduled_time.ToDatetime(UTC) for run in runs) == wanted
                past = [entry for entry in await ledger(client, task) if entry.backfill]
                assert [entry.due_time.ToDatetime(UTC) for entry in past] == wanted
                assert {entry.run for entry in past} == {run.name for run in runs}
        print(f"{2 * MOMENTS} moments, {kills} kills")
