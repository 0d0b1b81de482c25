"""First drafts: how many become the task that was meant in one round of DraftTask, and how long a round takes."""

import statistics
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from google.protobuf import json_format
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.drafts.corpus import SETS, drafts
from benchmarks.drafts.fixes import repaired
from benchmarks.drafts.scoring import Ask, Outcome, Score, score
from benchmarks.drafts.tools import entries, resource
from benchmarks.harness.targets import Row
from ordinaut.client import Client
from ordinaut.embedded.system import Plan, System
from ordinaut.v1.task_service_pb2 import DraftTaskRequest, DraftTaskResponse
from ordinaut.v1.tool_service_pb2 import CreateToolRequest

TARGETS: Mapping[str, tuple[float, float]] = {"shared": (95, 100), "own": (90, 95), "single": (90, 95)}
STEP = """    - id: step{0}
      tool: weather.forecast
      input: {{city: "{{{{ params.city }}}}"}}
      when: "params.city != 'Oslo' and params.city != None"
      timeout: 30
"""
START = """name: My Task
schedule: {cron: '0 9 * * *', timezone: Europe/Berlin}
params: {city: Berlin}
pipeline:
  steps:
"""
SAMPLES = {4096: (200, 50.0, 25.0), 65536: (20, 1000.0, 500.0)}


async def rows(folder: Path, *, list_failed: bool = False) -> AsyncGenerator[Row, None]:
    """The share of right drafts of each group, what must not happen, and the time of a round.

    Prints a table of the families, and with `list_failed` each draft that is not right.
    """
    async with System(Plan(folder, grpc_port=0, rest_port=0)) as system:
        description = system.describe()
        headers = {"authorization": f"Bearer {description['token']}"}
        async with (
            Client(description["grpc"], description["token"]) as client,
            aiohttp.ClientSession(headers=headers) as http,
        ):
            scores: list[Score] = []
            for group in SETS:
                await _register(client, group)
                found = drafts(group)
                some = [await score(draft, client.tasks.DraftTask, datetime.now(UTC)) for draft in found]
                scores += some
                yield Row(
                    f"{SETS[group]} ({len(some)}), right",
                    _share(item.right for item in some),
                    "%",
                    *TARGETS[group],
                    True,
                )
                fixed = [await repaired(draft, http, description["rest"], datetime.now(UTC)) for draft in found]
                yield Row(f"{SETS[group]}, right by the fixes of Validate alone", _share(fixed), "%")
            for row in _harm(scores):
                yield row
            _print(scores, list_failed=list_failed)
            for size, (samples, required, goal) in SAMPLES.items():
                times = await _milliseconds(client.tasks.DraftTask, size, samples)
                yield Row(f"a round of {size // 1024} KiB, p50", statistics.median(times), "ms")
                yield Row(
                    f"a round of {size // 1024} KiB, p99", sorted(times)[int(len(times) * 0.99)], "ms", required, goal
                )


async def _register(client: Client, group: str) -> None:
    """Registers the tools that a group adds: a shared draft may not get a tool that its author did not have."""
    for entry in entries():
        if group == ("shared" if entry.get("shared") else "own"):
            tool = {**resource(entry), "name": ""}
            request = {"tool": tool, "tool_id": entry["name"]}
            await client.tools.CreateTool(json_format.ParseDict(request, CreateToolRequest()))


def _share(values: Iterable[bool]) -> float:
    values = list(values)
    return 100 * sum(values) / len(values)


def _harm(scores: Sequence[Score]) -> list[Row]:
    blamed = [text for item in scores for text in item.blamed]
    plain = [item for item in scores if not item.draft.question]
    asked = _share(item.asked for item in plain)
    return [
        Row("CERTAIN changes that alter an oracle", len(blamed), "", 0, 0),
        Row(f"questions where the oracle has none ({len(plain)} drafts)", asked, "%", 10, 5),
    ]


async def _milliseconds(ask: Ask, size: int, samples: int) -> list[float]:
    """Times of rounds with a document of about `size` bytes, in which every step has several mistakes."""
    text, number = START, 0
    while len(text) + len(STEP) < size:
        text += STEP.format(number)
        number += 1
    times = []
    for _ in range(samples):
        start = time.perf_counter()
        response: DraftTaskResponse = await ask(DraftTaskRequest(text=text))
        times.append((time.perf_counter() - start) * 1000)
        if not response.tasks:
            raise RuntimeError("the document of the measurement was not understood")
    return times


def _print(scores: Sequence[Score], *, list_failed: bool) -> None:
    console = Console(width=160, highlight=False)
    console.print(_families(scores))
    for item in scores:
        if list_failed and (not item.right or item.blamed):
            console.print(f"[bold]{item.draft.group} {item.draft.id}[/]: {item.outcome}: {escape(item.detail)}")
            for text in item.blamed:
                console.print(f"    CERTAIN and wrong: {escape(text)}")


def _families(scores: Sequence[Score]) -> Table:
    """The outcomes of each family and each group."""
    table = Table("drafts", *Outcome, "CERTAIN and wrong", title="First drafts, one round each")
    for group, title in SETS.items():
        members = [item for item in scores if item.draft.group == group]
        table.add_section()
        table.add_row(f"[bold]{title} ({len(members)})", *_counts(members))
        families: dict[str, list[Score]] = {}
        for item in members:
            families.setdefault(item.draft.family, []).append(item)
        for family, own in families.items() if len(families) > 1 else ():
            table.add_row(f"  {family} ({len(own)})", *_counts(own))
    return table


def _counts(scores: Sequence[Score]) -> list[str]:
    counts = Counter(item.outcome for item in scores)
    blamed = sum(len(item.blamed) for item in scores)
    return [str(counts[outcome] or "") for outcome in Outcome] + [str(blamed or "")]
