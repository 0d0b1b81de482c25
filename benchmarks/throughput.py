"""End to end: runs per second and CPU per run, from a full queue to results, journal and events, all features on."""

import asyncio
import json
import statistics
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.floor import floor_rate
from benchmarks.harness.targets import Row
from benchmarks.usage import cpu_seconds
from ordinaut.embedded.binaries import postgres_programs
from ordinaut.embedded.system import Plan, System

ROUNDS = 3
RUNS = {1: 20_000, 5: 5_000}  # runs per round, by number of steps
WARM_UP_RUNS = 2_000
POLL_SECONDS = 0.25
"""A poll is CPU time of PostgreSQL: it walks the index entries of all rows that were deleted since the last vacuum."""
TASK = """
INSERT INTO task (uid, project, name, owner, display_name, description, labels, state, version, revision, create_time,
  update_time)
VALUES (new_id(), 'default', $1, 'agents/admin', '', '', '{}', 'ACTIVE', 1, 1, clock_now(), clock_now())
RETURNING uid
"""
VERSION = """
INSERT INTO task_version (
  task, version, pipeline, tools, scopes, schedule, run_policy, params, params_schema, overlap, priority, max_losses,
  run_timeout, create_time)
VALUES ($1, 1, $2, $3, '{admin}', '{}', '{}', '{"city": "Cluj"}', NULL, NULL, 5, 3, interval '1 day',
  clock_now())
"""
QUEUE = """
INSERT INTO due_work (id, project, task, task_name, task_version, owner, kind, trigger, occurrence, root, params, state,
  due_time, ready_time, priority, exclusive, max_losses, run_timeout, depth, create_time)
SELECT run, 'default', $1::uuid, 'bench', 1, 'agents/admin', 'MANUAL', '', 'run:' || run, $1::uuid || '/run:' || run,
  '{"city": "Cluj"}', 'READY', clock_now(), clock_now(), 5, false, 3, interval '1 day', 0, clock_now()
FROM (SELECT new_id() AS run FROM generate_series(1, $2::int)) AS new
"""
LIVE = "SELECT EXISTS (SELECT FROM due_work WHERE task = $1)"
ENDED = """
SELECT extract(epoch FROM max(end_time) - min(start_time))::float8, count(*) FILTER (WHERE state <> 'SUCCEEDED')
FROM run WHERE task = $1 AND create_time >= $2
"""


@dataclass
class Figures:
    """One value per round: rows/s of pgbench; by number of steps, runs/s and CPU µs per run of each process."""

    floor: list[float] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=lambda: {steps: [] for steps in RUNS})
    cpu: dict[int, list[dict[str, float]]] = field(default_factory=lambda: {steps: [] for steps in RUNS})


async def measure(folder: Path) -> Figures:
    """Interleaved rounds of pgbench, of one-step and of five-step runs, on one system."""
    figures = Figures()
    async with System(Plan(folder, grpc_port=0, rest_port=0)) as system:
        description = system.describe()
        connection = await asyncpg.connect(description["database_url"])
        try:
            tasks = {steps: await create_task(connection, steps) for steps in RUNS}
            await _drain(connection, tasks[1], WARM_UP_RUNS, description["pids"])
            for _ in range(ROUNDS):
                figures.floor.append(await floor_rate(postgres_programs(), description["database_url"]))
                for steps, runs in RUNS.items():
                    rate, cpu = await _drain(connection, tasks[steps], runs, description["pids"])
                    figures.rates[steps].append(rate)
                    figures.cpu[steps].append(cpu)
        finally:
            await connection.close()
    return figures


async def create_task(connection: "asyncpg.Connection[Any]", steps: int) -> Any:
    """Creates a task and returns its uid. Each of several steps is journaled before the next starts."""
    uid = await connection.fetchval(TASK, f"bench-{steps}")
    tool = "orchestrator.set" if steps == 1 else "orchestrator.get_state"
    inputs = {"city": "${params.city}"} if steps == 1 else {"namespace": "bench", "key": "${params.city}"}
    pipeline = {"version": 1, "steps": [{"id": f"s{step}", "uses": tool, "with": inputs} for step in range(steps)]}
    await connection.execute(VERSION, uid, json.dumps(pipeline), [tool])
    return uid


async def _drain(
    connection: "asyncpg.Connection[Any]", task: Any, runs: int, pids: dict[str, list[int]]
) -> tuple[float, dict[str, float]]:
    """Queues runs and waits until all are completed: runs per second, and CPU µs per run of each process.

    The time is that between the first start and the last end of a run, as the store recorded them.

    Raises:
        RuntimeError: a run of the task did not succeed.
    """
    since = await connection.fetchval("SELECT clock_now()")
    await connection.execute(QUEUE, task, runs)
    before = _cpu_by_process(pids)
    while await connection.fetchval(LIVE, task):  # noqa: ASYNC110 - a notification costs
        await asyncio.sleep(POLL_SECONDS)
    after = _cpu_by_process(pids)
    [(seconds, failed)] = await connection.fetch(ENDED, task, since)
    if failed:
        raise RuntimeError(f"{failed} of {runs} runs did not succeed")
    return runs / seconds, {name: (after[name] - before[name]) / runs * 1e6 for name in pids}


def _cpu_by_process(pids: dict[str, list[int]]) -> dict[str, float]:
    return {name: sum(map(cpu_seconds, replicas)) for name, replicas in pids.items()}


async def rows(folder: Path) -> AsyncGenerator[Row, None]:
    """Medians over the rounds."""
    figures = await measure(folder)
    floor = statistics.median(figures.floor)
    rates = {steps: statistics.median(figures.rates[steps]) for steps in RUNS}
    yield Row("pgbench: claim 100 + complete 100", floor, "rows/s")
    yield Row("one-step runs", rates[1], "runs/s")
    yield Row("one-step runs / pgbench", rates[1] / floor, "", 0.20, 0.40, higher_is_better=True)
    cpu = statistics.median(sum(by_process.values()) for by_process in figures.cpu[1])
    yield Row("CPU per one-step run, all processes", cpu, "µs", 120, 65)
    for name in figures.cpu[1][0]:
        yield Row(
            f"CPU per one-step run, {name}", statistics.median(by_process[name] for by_process in figures.cpu[1]), "µs"
        )
    yield Row("five-step runs, each step journaled", rates[5], "runs/s")
    yield Row("five-step runs / one-step runs", rates[5] / rates[1], "", 0.25, 0.4, higher_is_better=True)
