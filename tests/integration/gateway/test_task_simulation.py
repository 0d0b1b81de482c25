"""SimulateTask over the gateway: tasks that exist and tasks that do not, bounded, as long as somebody listens."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import json_format

from ordinaut.internal.v1.scheduler_service_pb2 import SimulateRequest
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.simulation_pb2 import SimulatedOccurrence, SimulationSummary
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, SimulateTaskRequest, SkipOccurrenceRequest
from scheduler.metrics import SIMULATIONS
from scheduler.simulation.simulate import Simulations
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import Caller, GatewaySystem, a_task, gateway_system
from tests.patience import PATIENCE
from tests.sample import FULL

pytestmark = pytest.mark.asyncio(loop_scope="module")
MINUTELY = {"triggers": [{"cron": "* * * * *"}], "time_zone": "UTC"}
HISTORY = """
INSERT INTO run (
  id, project, task, task_name, task_version, owner, kind, trigger, occurrence, root, params, state, claims, losses,
  depth, cancel_reason, create_time, start_time, end_time)
SELECT
  new_id(), 'default', $1, 'lived', 1, 'agents/admin', 'SCHEDULED', 't0', 'x' || place, 'r' || place, '{}', state, 1, 0,
  0, '', clock_now(), CASE WHEN state <> 'CANCELLED' THEN clock_now() END, clock_now() + took * interval '1 second'
FROM (VALUES (1, 'SUCCEEDED', 7), (2, 'CANCELLED', 99), (3, 'FAILED', 40)) AS r (place, state, took)
"""
DAY = {"start_time": "2026-03-01T00:00:00Z", "end_time": "2026-03-02T00:00:00Z"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(postgres_url: str) -> AsyncIterator[GatewaySystem]:
    async with fresh_database(postgres_url) as url, gateway_system(url) as started:
        yield started


async def simulated(caller: Caller, **request: Any) -> tuple[list[SimulatedOccurrence], SimulationSummary]:
    """What the stream brings, and its end."""
    found: list[SimulatedOccurrence] = []
    summary = None
    asked = json_format.ParseDict(request, SimulateTaskRequest())
    async for answer in caller.tasks.SimulateTask(asked, timeout=60):
        assert summary is None, "the summary is the last answer"
        found.extend(answer.occurrences)
        summary = answer.summary if answer.HasField("summary") else None
    assert summary is not None
    return found, summary


async def test_a_task_in_the_request_is_simulated(system: GatewaySystem) -> None:
    """Outage, overlap and failures, each occurrence with its reason, and the counts at the end."""
    task = {"schedule": MINUTELY, "run_policy": {"pause_after_failures": 2}}
    outage = {"start_time": "2026-03-01T00:10:30Z", "end_time": "2026-03-01T00:20:00Z"}
    found, summary = await simulated(
        system.admin, task=task, **DAY, run_durations=["30s", "90s"], fail_every=1, outages=[outage]
    )
    first, second, third = found[:3]
    assert (first.id, first.trigger, first.outcome) == ("20260301T000000Z", "t0", Occurrence.ENQUEUED)
    assert first.run.state == Run.FAILED
    assert first.run.end_time.seconds - first.run.start_time.seconds == 30
    assert second.run.end_time.seconds - second.run.start_time.seconds == 90
    assert (third.outcome, third.reason) == (Occurrence.SKIPPED_OVERLAP, "a run of the task was live")
    assert dict(summary.outcomes) == {"ENQUEUED": 2, "SKIPPED_OVERLAP": 1, "PAUSED": 1437}
    assert dict(summary.runs) == {"FAILED": 2}
    assert (summary.state, summary.state_reason) == (Task.PAUSED, "2 runs in a row failed")


async def test_skipped_occurrences_of_a_stored_task_are_skipped(system: GatewaySystem) -> None:
    daily = {"triggers": [{"cron": "30 7 * * *"}], "time_zone": "Europe/Chisinau"}
    task = await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(schedule=daily), task_id="daily"))
    skipped = task.upcoming[1].id
    await system.admin.tasks.SkipOccurrence(SkipOccurrenceRequest(name="tasks/daily", occurrence=skipped))
    found, summary = await simulated(system.admin, name="tasks/daily")
    assert [entry.id for entry in found[:5]] == [coming.id for coming in task.upcoming]
    assert [entry.outcome == Occurrence.SKIPPED for entry in found[:3]] == [False, True, False]
    assert sum(summary.outcomes.values()) == len(found) == 7
    assert summary.outcomes["SKIPPED"] == 1


async def test_simulated_runs_of_a_stored_task_have_recorded_durations(system: GatewaySystem) -> None:
    """Unless the request says how long; what was cancelled or never started does not count."""
    task = await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(schedule=MINUTELY), task_id="lived"))
    async with system.database.connection() as connection:
        await connection.execute(HISTORY, task.uid)
    found, _ = await simulated(system.admin, name="tasks/lived", **DAY)
    assert [took(entry) for entry in found[:3]] == [7, 40, 7]
    found, _ = await simulated(system.admin, name="tasks/lived", **DAY, run_durations=["3s"])
    assert [took(entry) for entry in found[:2]] == [3, 3]


def took(entry: SimulatedOccurrence) -> int:
    return int(entry.run.end_time.seconds - entry.run.start_time.seconds)


async def test_a_simulation_ends_at_its_limit(system: GatewaySystem) -> None:
    """Where it ended is said."""
    every_second = {"triggers": [{"interval": "1s"}]}
    window = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2027-01-01T00:00:00Z"}
    answers = Simulations(max_occurrences=5000).answers(
        json_format.ParseDict({"schedule": every_second, "run_durations": ["1s"], **window}, SimulateRequest())
    )
    parts = [answer.part async for answer in answers]
    assert sum(len(part.occurrences) for part in parts) == 5000
    summary = parts[-1].summary
    assert summary.truncated
    assert summary.end_time.seconds - parts[0].occurrences[0].due_time.seconds == 5000


async def test_a_simulation_ends_when_the_client_disconnects(system: GatewaySystem) -> None:
    """The caller hangs up in the middle: the gateway and the scheduler let go of it."""
    request = json_format.ParseDict(
        {"task": {"schedule": MINUTELY}, "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-12-31T00:00:00Z"},
        SimulateTaskRequest(),
    )
    call = system.admin.tasks.SimulateTask(request, timeout=60)
    assert (await anext(aiter(call))).occurrences
    assert SIMULATIONS._value.get() == 1
    call.cancel()
    async with asyncio.timeout(PATIENCE):
        while SIMULATIONS._value.get():
            await asyncio.sleep(0.01)


async def test_ninety_days_of_every_minute_take_seconds() -> None:
    """129 600 occurrences, by the time that computing them takes; in the sample fifteen days."""
    begin, days = datetime(2026, 2, 1, tzinfo=UTC), 90 if FULL else 15
    window = {"start_time": begin.isoformat(), "end_time": (begin + timedelta(days=days)).isoformat()}
    request = json_format.ParseDict({"schedule": MINUTELY, "run_durations": ["10s"], **window}, SimulateRequest())
    before = time.process_time()
    parts = [answer.part async for answer in Simulations().answers(request)]
    assert time.process_time() - before < days / 9
    counts = parts[-1].summary.outcomes["ENQUEUED"], parts[-1].summary.runs["SUCCEEDED"]
    assert counts == (sum(len(part.occurrences) for part in parts),) * 2 == (days * 24 * 60,) * 2


async def test_a_simulation_requires_a_scheduler(postgres_url: str) -> None:
    async with fresh_database(postgres_url) as url, gateway_system(url) as system:
        await system.scheduler.stop(0)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await simulated(system.admin, task={"schedule": MINUTELY})
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_slow_client_does_not_block_others() -> None:
    """Thousands of occurrences behind a run of a hundred days: they come in the order of the ledger, in small parts."""
    policy = {"overlap": {"policy": "BUFFER_ONE"}}
    window = {"start_time": "2026-03-01T00:00:00Z", "end_time": "2026-03-11T00:00:00Z"}
    asked = {"schedule": MINUTELY, "run_policy": policy, "run_durations": ["8640000s"], **window}
    answers = Simulations(5000).answers(json_format.ParseDict(asked, SimulateRequest()))
    parts = [answer.part.occurrences async for answer in answers]
    assert max(map(len, parts)) <= 1000
    found = [entry for part in parts for entry in part]
    assert [entry.due_time.seconds for entry in found] == sorted(entry.due_time.seconds for entry in found)
    outcomes = [Occurrence.Outcome.Name(entry.outcome) for entry in found]
    assert outcomes == ["ENQUEUED", "BUFFERED", *["SKIPPED_OVERLAP"] * 4998]
    assert not found[1].HasField("run"), "whether it starts was not looked at any more"
