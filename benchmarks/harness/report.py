"""The results of a run as a table and as JSON."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from benchmarks.harness.load import MAX_OTHER_LOAD, Load
from benchmarks.harness.runner import PartResult
from benchmarks.harness.targets import Row

STYLES = {"goal": "green", "required": "yellow", "missed": "bold red", "": ""}


def load_text(load: Load) -> str:
    """The load average before and after a part, and the load of other processes during it."""
    others = "unknown" if load.others is None else f"{load.others:.2f}"
    return f"load {load.before:.2f} before, {load.after:.2f} after, {others} others"


def table(results: Iterable[PartResult]) -> Table:
    """A section for each part: its load, its figures, its failure."""
    report = Table(title=f"Ordinaut on this machine ({os.cpu_count()} cores)")
    for column in ("figure", "value", "required", "goal", "reached"):
        report.add_column(column, justify="left" if column in {"figure", "reached"} else "right")
    for result in results:
        report.add_section()
        report.add_row(f"[bold]{result.name}[/]: {load_text(result.load)}")
        for row in result.rows:
            report.add_row(*_cells(row, result.load.reportable))
        if result.failure is not None:
            report.add_row(f"  [bold red]failed: {escape(result.failure)}")
    return report


def _cells(row: Row, reportable: bool) -> Sequence[str]:
    bound = ">=" if row.higher_is_better else "<="
    targets = [f"{bound} {target:g}" if target is not None else "" for target in (row.required, row.goal)]
    reached = f"[{STYLES[row.verdict]}]{row.verdict}[/]" if row.verdict else ""
    mark = "" if reportable else "[bold red]not reportable[/]"
    return escape(f"  {row.name}"), f"{row.value:,.2f} {row.unit}", *targets, f"{reached} {mark}".strip()


class ResultFile:
    """A JSON file for one run, named by its start time. It is rewritten after each part: a crash keeps the rest."""

    def __init__(self, folder: Path) -> None:
        self._start = datetime.now(UTC)
        self.path = folder / f"{self._start:%Y%m%dT%H%M%SZ}.json"

    def write(self, results: Iterable[PartResult]) -> None:
        """Replaces the file by these results."""
        document = {
            "time": self._start.isoformat(),
            "version": version("ordinaut"),
            "machine": {
                "cores": os.cpu_count(),
                "system": platform.platform(),
                "python": platform.python_version(),
            },
            "max_other_load": MAX_OTHER_LOAD,
            "parts": {result.name: _part(result) for result in results},
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(document, indent=2) + "\n")


def _part(result: PartResult) -> dict[str, Any]:
    reportable = result.load.reportable
    return {
        "failure": result.failure,
        "load": asdict(result.load),
        "reportable": reportable,
        "figures": [{**asdict(row), "verdict": row.verdict, "reportable": reportable} for row in result.rows],
    }
