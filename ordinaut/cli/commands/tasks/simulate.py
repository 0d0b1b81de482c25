"""`ordinaut task simulate`: simulates the occurrences of a task."""

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import typer

from ordinaut.cli.files import documents
from ordinaut.cli.output import UsageError, echo, local_time, print_json, print_table
from ordinaut.cli.parameters import parse_message
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import Client
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.simulation_pb2 import SimulatedOccurrence, SimulationSummary
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import SimulateTaskRequest

COLUMNS = ("DUE", "OUTCOME", "COUNT", "RUN STARTS", "RUN ENDS", "STATE", "REASON")
TIMEOUT_SECONDS = 300.0  # a year of a dense schedule takes minutes


def simulate(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Existing task.")] = "",
    file: Annotated[str, typer.Option("--file", "-f", help="File with a task, YAML or JSON (-: standard input).")] = "",
    start: Annotated[str, typer.Option("--from", help="Start of the simulated period, RFC 3339 (default: now).")] = "",
    end: Annotated[
        str, typer.Option("--to", help="End of the simulated period, RFC 3339 (default: a week after the start).")
    ] = "",
    duration: Annotated[
        list[str] | None, typer.Option(help="Duration of runs (e.g. 30s, 5m). Repeatable: used in rotation.")
    ] = None,
    fail_every: Annotated[int, typer.Option(min=0, help="Make every Nth run fail; 0: none.")] = 0,
    outage: Annotated[
        list[str] | None, typer.Option(help="Period without a scheduler: START/END (RFC 3339). Repeatable.")
    ] = None,
    pause: Annotated[
        list[str] | None, typer.Option(help="Period in which the task is paused: START/END (RFC 3339). Repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Maximum number of rows; the totals include all occurrences.")] = 50,
) -> None:
    """Simulate the occurrences and runs of a task in a period of time."""
    if bool(name) == bool(file):
        raise UsageError("exactly one of NAME and --file is required")
    session = session_of(context)
    fields: dict[str, Any] = {
        **_of(name, file), "start_time": start, "end_time": end, "run_durations": duration, "fail_every": fail_every,
        "outages": [_interval(text) for text in outage or ()], "pauses": [_interval(text) for text in pause or ()],
    }  # fmt: skip
    request = parse_message({key: value for key, value in fields.items() if value}, SimulateTaskRequest(), "")

    async def work(client: Client) -> None:
        rows: list[SimulatedOccurrence] = []
        summary = SimulationSummary()
        async for answer in client.tasks.SimulateTask(request, timeout=TIMEOUT_SECONDS):
            if session.as_json:
                print_json(answer)
            rows.extend(islice(answer.occurrences, limit - len(rows)))
            summary = answer.summary
        if not session.as_json:
            _print_summary(rows, summary)

    session.call(work)


def _of(name: str, file: str) -> dict[str, Any]:
    if name:
        return {"name": with_prefix("tasks", name)}
    [document, *rest] = documents(file)
    if rest:
        raise UsageError(f"{file} must contain exactly one document (got {len(rest) + 1})")
    return {"task": document}


def _interval(text: str) -> dict[str, str]:
    start, slash, end = text.partition("/")
    if not slash:
        raise UsageError(f"must have the form START/END (got {text!r})")
    return {"start_time": start, "end_time": end}


def _print_summary(rows: list[SimulatedOccurrence], summary: SimulationSummary) -> None:
    print_table(COLUMNS, map(_row, rows), "no occurrences")
    hidden = sum(summary.outcomes.values()) - sum(entry.count for entry in rows)
    if hidden:
        echo(f"… and {hidden} more")
    echo(f"{_counts(summary.outcomes) or 'no occurrences'}; runs: {_counts(summary.runs) or 'none'}")
    if summary.state == Task.PAUSED:
        echo(f"the task would be PAUSED: {summary.state_reason}")
    if summary.truncated:
        echo(f"simulated up to {local_time(summary.end_time)}: the maximum number of occurrences is reached")


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in sorted(counts))


def _row(entry: SimulatedOccurrence) -> tuple[str, ...]:
    due = local_time(entry.due_time)
    if entry.count > 1:
        due += f" to {local_time(entry.last_due_time)}"
    run = entry.run
    state = Run.State.Name(run.state) if entry.HasField("run") else ""
    return (
        due,
        Occurrence.Outcome.Name(entry.outcome),
        str(entry.count),
        local_time(run.start_time),
        local_time(run.end_time),
        state,
        entry.reason,
    )
