"""`python -m benchmarks [PART ...]`: measures, holds it against the targets, prints a table, keeps it as JSON."""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import backfill, engine, latency, rest, schedules, startup, throughput, triggers
from benchmarks.targets import Row

RESULTS = Path(__file__).parent / "results"
STYLES = {"aim": "green", "must": "yellow", "missed": "bold red", "": ""}
PARTS: Mapping[str, Callable[[Path], Awaitable[list[Row]]]] = {
    "throughput": throughput.rows,
    "latency": latency.measure,
    "rest": rest.measure,
    "startup": startup.measure,
    "engine": engine.rows,
    "triggers": triggers.rows,
    "backfill": backfill.rows,
    "schedules": schedules.rows,
}


async def measure(parts: Sequence[str]) -> dict[str, list[Row]]:
    """The figures of each part, one part after the other: they would disturb each other."""
    found = {}
    for part in parts:
        sys.stderr.write(f"measuring {part} …\n")
        with tempfile.TemporaryDirectory() as folder:
            found[part] = await PARTS[part](Path(folder))
    return found


def table(found: Mapping[str, Sequence[Row]]) -> Table:
    """The figures for people."""
    shown = Table(title="Ordinaut on this machine")
    for column in ("what", "figure", "must", "aim", "reached"):
        shown.add_column(column, justify="left" if column in {"what", "reached"} else "right")
    for part, rows in found.items():
        shown.add_section()
        shown.add_row(f"[bold]{part}")
        for row in rows:
            bound = ">=" if row.rises else "<="
            targets = [f"{bound} {target:g}" if target is not None else "" for target in (row.must, row.aim)]
            verdict = f"[{STYLES[row.verdict]}]{row.verdict}" if row.verdict else ""
            shown.add_row(f"  {row.what}", f"{row.value:,.2f} {row.unit}", *targets, verdict)
    return shown


def kept(found: Mapping[str, Sequence[Row]]) -> Path:
    """Writes the figures to a file of their own and tells where."""
    now = datetime.now(UTC)
    document = {
        "time": now.isoformat(),
        "version": version("ordinaut"),
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "load_before": LOAD,
        "parts": {part: [{**asdict(row), "verdict": row.verdict} for row in rows] for part, rows in found.items()},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"all by default: {', '.join(PARTS)}")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when a figure misses what it must be")
    given = parser.parse_args()
    parts = given.parts or list(PARTS)
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"there is no part {', '.join(unknown)}; choose from {', '.join(PARTS)}")
    found = asyncio.run(measure(parts))
    Console(width=120 if not sys.stdout.isatty() else None).print(table(found))
    print(f"kept in {kept(found)}; load of this machine before: {LOAD:.1f}")
    sys.exit(given.strict and any(row.verdict == "missed" for rows in found.values() for row in rows))


LOAD = os.getloadavg()[0]

if __name__ == "__main__":
    main()
