"""`ordinaut pipeline simulate`: what a run would do."""

import json
from typing import Annotated, Any, Literal

import typer
from google.protobuf.json_format import MessageToDict

from ordinaut.cli.commands.pipelines.inline import run_of
from ordinaut.cli.files import one_document
from ordinaut.cli.mocks import MockFile, Outputs, given
from ordinaut.cli.output import lasted, moment, print_json, print_table
from ordinaut.cli.parameters import filled, json_value, pairs
from ordinaut.cli.run_display import in_short, waits_in_short
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client.document import whole
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import SimulateRunRequest

COLUMNS = ("STEP", "STATE", "TRY", "BEGAN", "TOOK", "INPUT", "CAME TO")
RULES = ("retry", "run_timeout")
"""Of a task's `run_policy`: what a simulated run follows."""
SHORT = 60
"""Characters of a value in the table."""


def simulate(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="YAML or JSON with one pipeline or task; - is stdin.")] = "",
    task: Annotated[str, typer.Option(help="An existing task instead of a file.")] = "",
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="key=value; may be repeated.")] = None,
    event: Annotated[str, typer.Option(help='What `event` is, as JSON: {"data": …}.')] = "",
    mock: Outputs = None,
    mocks: MockFile = "",
    recording: Annotated[str, typer.Option(help="A run whose steps' answers are given again.")] = "",
    seed: Annotated[int, typer.Option(help="Chooses other made-up answers.")] = 0,
    start: Annotated[str, typer.Option("--start", help="When it begins (RFC 3339); now.")] = "",
) -> None:
    """Execute a pipeline without touching anything. Exit code 1: it would not succeed."""
    if bool(file) == bool(task):
        raise typer.BadParameter("give either a file or --task")
    session = session_of(context)
    asked: dict[str, Any] = {"task": with_prefix("tasks", task)} if task else run_of(one_document(file), file, RULES)
    asked["params"] = {**asked.get("params", {}), **pairs(param or [])}
    asked["seed"] = seed
    if event:
        asked["event"] = json_value(event)
    if recording:
        asked["recording"] = with_prefix("runs", recording)
    if start:
        asked["start_time"] = start
    request = filled(asked, SimulateRunRequest(), "")
    request.mocks.extend(given(mock, mocks))
    answer = session.call(lambda client: client.runs.SimulateRun(request))
    if session.as_json:
        print_json(answer)
    else:
        print_table(COLUMNS, map(_row, answer.run.steps), "no step")
        _tell(answer.run, list(answer.generated), list(answer.warnings))
    if answer.run.state != Run.SUCCEEDED:
        raise typer.Exit(1)


def _row(step: StepRun) -> tuple[str, ...]:
    return (
        step.path,
        StepRun.State.Name(step.state),
        str(step.attempt),
        moment(step.start_time),
        lasted(step.start_time, step.end_time),
        _shortened(step, "input"),
        in_short(step.error) or _shortened(step, "output"),
    )


def _shortened(step: StepRun, field: Literal["input", "output"]) -> str:
    """A value as JSON, in one line that is not too long."""
    if not step.HasField(field):
        return ""
    text = json.dumps(whole(MessageToDict(getattr(step, field))), ensure_ascii=False)
    return text if len(text) <= SHORT else f"{text[:SHORT]}…"


def _tell(run: Run, drawn: list[str], warnings: list[str]) -> None:
    output = f" {json.dumps(whole(MessageToDict(run.output)), ensure_ascii=False)}" if run.HasField("output") else ""
    typer.echo(f"{Run.State.Name(run.state)} at {moment(run.end_time)}{output} {in_short(run.error)}".rstrip())
    for wait in run.waits:
        typer.echo(waits_in_short(wait))
    if drawn:
        typer.echo(f"made up: {', '.join(drawn)}", err=True)
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
