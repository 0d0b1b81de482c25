"""`ordinaut task simulate`: what would become of a task's moments."""

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import typer

from ordinaut.cli.files import documents
from ordinaut.cli.output import local_time, print_json, print_table
from ordinaut.cli.parameters import parse_message
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import Client
from ordinaut.v1.occurrence_pb2 import Occurrence
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.simulation_pb2 import SimulatedOccurrence, SimulationSummary
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import SimulateTaskRequest

COLUMNS = ("DUE", "OUTCOME", "COUNT", "RUN STARTS", "RUN ENDS", "STATE", "REASON")
TIMEOUT_SECONDS = 300.0  # a year of a dense schedule takes a while


def simulate(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="An existing task.")] = "",
    file: Annotated[str, typer.Option("--file", "-f", help="YAML or JSON with a task; - is stdin.")] = "",
    start: Annotated[str, typer.Option("--from", help="Where the window begins (RFC 3339); now.")] = "",
    end: Annotated[str, typer.Option("--to", help="Where it ends; a week later.")] = "",
    duration: Annotated[list[str] | None, typer.Option(help="How long runs take, in turn: 30s, 5m.")] = None,
    fail_every: Annotated[int, typer.Option(min=0, help="Every so many runs one fails.")] = 0,
    outage: Annotated[list[str] | None, typer.Option(help="When no scheduler lives: START/END.")] = None,
    pause: Annotated[list[str] | None, typer.Option(help="When the task is paused: START/END.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="Show at most so many rows; all are counted.")] = 50,
) -> None:
    """Let a task live through a window of time that takes no time."""
    if bool(name) == bool(file):
        raise typer.BadParameter("give either a task's name or --file")
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
        raise typer.BadParameter(f"{file} holds {len(rest) + 1} documents; one is needed")
    return {"task": document}


def _interval(text: str) -> dict[str, str]:
    start, slash, end = text.partition("/")
    if not slash:
        raise typer.BadParameter(f"{text!r} is not of the form START/END")
    return {"start_time": start, "end_time": end}


def _print_summary(rows: list[SimulatedOccurrence], summary: SimulationSummary) -> None:
    print_table(COLUMNS, map(_row, rows), "no occurrences")
    hidden = sum(summary.outcomes.values()) - sum(entry.count for entry in rows)
    if hidden:
        typer.echo(f"… and {hidden} more")
    typer.echo(f"{_counts(summary.outcomes) or 'nothing is due'}; runs: {_counts(summary.runs) or 'none'}")
    if summary.state == Task.PAUSED:
        typer.echo(f"the task would be PAUSED: {summary.state_reason}")
    if summary.truncated:
        typer.echo(f"only up to {local_time(summary.end_time)}: no more occurrences are simulated at once")


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
