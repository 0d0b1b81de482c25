"""Measures parts of Ordinaut, compares the figures with their targets, prints a table and writes JSON.

Exit codes: 0 all parts complete, 1 a part failed (with --strict also a missed target or a figure that is not
reportable), 2 wrong arguments or another benchmark is running.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks import (
    backfill,
    engine,
    idle_schedules,
    latency,
    rest,
    schedules,
    startup,
    throughput,
    triggers,
    victims,
)
from benchmarks.drafts import measure as first_drafts
from benchmarks.harness.machine_lock import BenchmarkRunningError, lock_path, machine_lock
from benchmarks.harness.report import ResultFile, load_text, table
from benchmarks.harness.runner import Part, PartResult, run_parts

RESULTS = Path(__file__).parent / "results"
LIMIT_SECONDS = 1800.0
PARTS: Mapping[str, Part] = {
    "throughput": throughput.rows,
    "latency": latency.rows,
    "rest": rest.rows,
    "startup": startup.rows,
    "engine": engine.rows,
    "triggers": triggers.rows,
    "backfill": backfill.rows,
    "schedules": schedules.rows,
    "idle-schedules": idle_schedules.rows,
    "drafts": first_drafts.rows,
    "victims": victims.rows,
}


def arguments() -> argparse.Namespace:
    """The checked command line: `parts`, `strict`, `wait`, `limit`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"default: all of {', '.join(PARTS)}")
    parser.add_argument("--strict", action="store_true", help="fail on missed targets and figures not reportable")
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="wait for a running benchmark to end")
    parser.add_argument(
        "--limit",
        type=float,
        default=LIMIT_SECONDS,
        metavar="SECONDS",
        help="time limit of a part (default %(default)g)",
    )
    parser.add_argument("--failed", action="store_true", help="list the drafts that did not become the task they mean")
    options = parser.parse_args()
    if unknown := sorted(set(options.parts) - set(PARTS)):
        parser.error(f"unknown part {', '.join(unknown)}; supported parts: {', '.join(PARTS)}")
    return options


async def measure(parts: Mapping[str, Part], limit_seconds: float, file: ResultFile, results: list[PartResult]) -> None:
    """Appends to `results` and to the file as parts end, so that an interrupt keeps what is complete."""
    sys.stderr.write(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.2f}\n")
    async for result in run_parts(parts, limit_seconds):
        results.append(result)
        file.write(results)
        outcome = "complete" if result.failure is None else f"failed: {result.failure}"
        sys.stderr.write(f"{result.name}: {outcome}; {load_text(result.load)}\n")


def run(options: argparse.Namespace) -> int:
    """Measures and prints; returns the exit code."""
    parts = {name: PARTS[name] for name in options.parts or PARTS}
    if options.failed and "drafts" in parts:
        parts["drafts"] = partial(first_drafts.rows, list_failed=True)
    file, results = ResultFile(RESULTS), list[PartResult]()
    try:
        asyncio.run(measure(parts, options.limit, file, results))
    finally:
        Console(width=120 if not sys.stdout.isatty() else None).print(table(results))
        print(f"written to {file.path}" if results else "no part has ended: nothing written")
    if options.strict:
        return int(not all(result.passed for result in results))
    return int(any(result.failure is not None for result in results))


def main() -> None:
    """Runs the command line while holding the lock of this machine."""
    options = arguments()
    try:
        with machine_lock(lock_path(), options.wait):
            code = run(options)
    except BenchmarkRunningError as error:
        sys.stderr.write(f"{error}; try again later, or use --wait SECONDS\n")
        code = 2
    sys.exit(code)


if __name__ == "__main__":
    main()
