"""`ordinaut pipeline simulate`: simulates a run."""

from typing import Annotated, Any, Literal

import typer
from google.protobuf.json_format import MessageToDict

from ordinaut.cli.commands.pipelines.run_request import run_request
from ordinaut.cli.files import one_document
from ordinaut.cli.mocks import MockFile, MockOptions, read_mocks
from ordinaut.cli.output import UsageError, echo, elapsed, local_time, print_json, print_table, shorten
from ordinaut.cli.parameters import parse_json, parse_message, parse_pairs
from ordinaut.cli.run_display import error_summary, wait_summary
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client.document import with_integers
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import SimulateRunRequest
from ordinaut.visible import json_text

COLUMNS = ("STEP", "STATE", "TRY", "STARTED", "TOOK", "INPUT", "RESULT")
RULES = ("retry", "run_timeout", "deadline")
"""Fields of `run_policy` that apply to a simulated run."""


def simulate(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="File with one pipeline or task, YAML or JSON (-: standard input).")] = "",
    task: Annotated[str, typer.Option(help="Existing task, instead of a file.")] = "",
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="Parameter key=value; the value is JSON or text. Repeatable."),
    ] = None,
    event: Annotated[str, typer.Option(help='The triggering event, as JSON: {"data": …}.')] = "",
    mock: MockOptions = None,
    mocks: MockFile = "",
    recording: Annotated[str, typer.Option(help="Run whose recorded step results are used.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of generated step results.")] = 0,
    start: Annotated[str, typer.Option("--start", help="Start time, RFC 3339 (default: now).")] = "",
) -> None:
    """Simulate a pipeline without calling tools. Exit code 1 if it would not succeed."""
    if bool(file) == bool(task):
        raise UsageError("exactly one of FILE and --task is required")
    session = session_of(context)
    fields: dict[str, Any] = (
        {"task": with_prefix("tasks", task)} if task else run_request(one_document(file), file, RULES)
    )
    fields["params"] = {**fields.get("params", {}), **parse_pairs(param or [])}
    fields["seed"] = seed
    if event:
        fields["event"] = parse_json(event)
    if recording:
        fields["recording"] = with_prefix("runs", recording)
    if start:
        fields["start_time"] = start
    request = parse_message(fields, SimulateRunRequest(), "")
    request.mocks.extend(read_mocks(mock, mocks))
    answer = session.call(lambda client: client.runs.SimulateRun(request))
    if session.as_json:
        print_json(answer)
    else:
        print_table(COLUMNS, map(_row, answer.run.steps), "no steps")
        _print_summary(answer.run, list(answer.generated), list(answer.warnings))
    if answer.run.state != Run.SUCCEEDED:
        raise typer.Exit(1)


def _row(step: StepRun) -> tuple[str, ...]:
    return (
        step.path,
        StepRun.State.Name(step.state),
        str(step.attempt),
        local_time(step.start_time),
        elapsed(step.start_time, step.end_time),
        _shortened(step, "input"),
        error_summary(step.error) or _shortened(step, "output"),
    )


def _shortened(step: StepRun, field: Literal["input", "output"]) -> str:
    """A value as JSON, shortened for the table."""
    if not step.HasField(field):
        return ""
    text = json_text(with_integers(MessageToDict(getattr(step, field))))
    return shorten(text)


def _print_summary(run: Run, drawn: list[str], warnings: list[str]) -> None:
    output = f" {json_text(with_integers(MessageToDict(run.output)))}" if run.HasField("output") else ""
    echo(f"{Run.State.Name(run.state)} at {local_time(run.end_time)}{output} {error_summary(run.error)}".rstrip())
    for wait in run.waits:
        echo(wait_summary(wait))
    if drawn:
        echo(f"generated: {', '.join(drawn)}", err=True)
    for warning in warnings:
        echo(f"warning: {warning}", err=True)
