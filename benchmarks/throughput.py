"""End to end: runs a second and CPU a run, from a full queue to results, journal and events, with everything on."""

import asyncio
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from benchmarks.floor import floor_rate
from benchmarks.targets import Row
from benchmarks.usage import cpu_seconds, resident_mib
from ordinaut.embedded.binaries import postgres_programs
from ordinaut.embedded.system import Plan, System

ROUNDS = 3
RUNS = {1: 20_000, 5: 5_000}
LOOK_SECONDS = 0.02
TASK = """
INSERT INTO task (uid, project, name, owner, display_name, description, labels, state, version, revision, create_time,
  update_time)
VALUES (new_id(), 'default', $1, 'agents/admin', '', '', '{}', 'ACTIVE', 1, 1, clock_now(), clock_now())
RETURNING uid
"""
VERSION = """
INSERT INTO task_version VALUES ($1, 1, $2, $3, '{}', '{}', '{"city": "Cluj"}', NULL, NULL, 5, 3, interval '1 day',
  clock_now())
"""
QUEUE = """
INSERT INTO due_work (id, project, task, task_name, task_version, owner, kind, trigger, occurrence, root, params, state,
  due_time, ready_time, priority, exclusive, max_losses, run_timeout, depth, create_time)
SELECT run, 'default', $1::uuid, 'bench', 1, 'agents/admin', 'MANUAL', '', 'run:' || run, $1::uuid || '/run:' || run,
  '{"city": "Cluj"}', 'READY', clock_now(), clock_now(), 5, false, 3, interval '1 day', 0, clock_now()
FROM (SELECT new_id() AS run FROM generate_series(1, $2::int)) AS new
"""


@dataclass
class Figures:
    """Medians over the rounds; CPU in microseconds a run, by process."""

    floor: list[float] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=lambda: {steps: [] for steps in RUNS})
    cpu: dict[int, list[dict[str, float]]] = field(default_factory=lambda: {steps: [] for steps in RUNS})
    memory_mib: dict[str, float] = field(default_factory=dict)


async def measure(folder: Path) -> Figures:
    """Interleaved rounds of the floor, of one-step and of five-step runs, on one system."""
    figures = Figures()
    async with System(Plan(folder, grpc_port=0, rest_port=0)) as system:
        said = system.describe()
        figures.memory_mib = {name: resident_mib(pids[0]) for name, pids in said["pids"].items()}
        connection = await asyncpg.connect(said["database_url"])
        try:
            tasks = {steps: await create_task(connection, steps) for steps in RUNS}
            await _drain(connection, tasks[1], 2_000, said["pids"])  # warm
            for _ in range(ROUNDS):
                figures.floor.append(await floor_rate(postgres_programs(), said["database_url"]))
                for steps, runs in RUNS.items():
                    rate, cpu = await _drain(connection, tasks[steps], runs, said["pids"])
                    figures.rates[steps].append(rate)
                    figures.cpu[steps].append(cpu)
        finally:
            await connection.close()
    return figures


async def create_task(connection: "asyncpg.Connection[Any]", steps: int) -> Any:
    """A task whose steps are each journaled before the next."""
    uid = await connection.fetchval(TASK, f"bench-{steps}")
    tool = "orchestrator.set" if steps == 1 else "orchestrator.get_state"
    given = {"city": "${params.city}"} if steps == 1 else {"namespace": "bench", "key": "${params.city}"}
    pipeline = {"version": 1, "steps": [{"id": f"s{step}", "uses": tool, "with": given} for step in range(steps)]}
    await connection.execute(VERSION, uid, json.dumps(pipeline), [tool])
    return uid


async def _drain(
    connection: "asyncpg.Connection[Any]", task: Any, runs: int, pids: dict[str, list[int]]
) -> tuple[float, dict[str, float]]:
    await connection.execute(QUEUE, task, runs)
    before = {name: sum(cpu_seconds(pid) for pid in some) for name, some in pids.items()}
    began = time.monotonic()
    while await connection.fetchval("SELECT EXISTS (SELECT FROM due_work)"):  # noqa: ASYNC110 - telling would cost
        await asyncio.sleep(LOOK_SECONDS)
    seconds = time.monotonic() - began
    after = {name: sum(cpu_seconds(pid) for pid in some) for name, some in pids.items()}
    failed = await connection.fetchval("SELECT count(*) FROM run WHERE task = $1 AND state <> 'SUCCEEDED'", task)
    if failed:
        raise RuntimeError(f"{failed} runs did not succeed")
    return runs / seconds, {name: (after[name] - before[name]) / runs * 1e6 for name in pids}


async def rows(folder: Path) -> list[Row]:
    """The medians beside their targets."""
    figures = await measure(folder)
    floor = statistics.median(figures.floor)
    rates = {steps: statistics.median(figures.rates[steps]) for steps in RUNS}
    cpu = statistics.median(sum(by_process.values()) for by_process in figures.cpu[1])
    return [
        Row("pgbench: claim 100 + complete 100", floor, "rows/s"),
        Row("runs of one step", rates[1], "runs/s"),
        Row("the same as a share of pgbench", rates[1] / floor, "", 0.20, 0.40, rises=True),
        Row("CPU of a run, all processes together", cpu, "µs", 120, 65),
        Row(
            "runs of five journaled steps, as a share of one-step runs", rates[5] / rates[1], "", 0.25, 0.4, rises=True
        ),
    ]


def table(figures: Figures) -> Table:
    """The figures for people."""
    floor = statistics.median(figures.floor)
    shown = Table(title="End to end")
    for column in ("what", "rate /s", "of the floor", "CPU µs a run", "by process"):
        shown.add_column(column, justify="left" if column == "what" else "right")
    shown.add_row("pgbench: claim 100 + complete 100", f"{floor:,.0f}", "1.00", "", "")
    for steps in RUNS:
        rate = statistics.median(figures.rates[steps])
        cpu = {name: statistics.median(round_[name] for round_ in figures.cpu[steps]) for name in figures.cpu[steps][0]}
        split = ", ".join(f"{name} {micro:.0f}" for name, micro in cpu.items() if micro >= 1)
        shown.add_row(
            f"runs of {steps} steps", f"{rate:,.0f}", f"{rate / floor:.2f}", f"{sum(cpu.values()):.0f}", split
        )
    return shown


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder)))
    console = Console(width=160)
    console.print(table(figures))
    console.print("memory of an idle process:", {name: f"{mib:.0f} MiB" for name, mib in figures.memory_mib.items()})


if __name__ == "__main__":
    main()
