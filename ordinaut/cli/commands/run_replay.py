"""`ordinaut run replay`: executes a finished run again on its journal."""

from collections.abc import Iterable
from typing import Annotated

import typer
from google.protobuf.struct_pb2 import Struct

from ordinaut.cli.files import one_document
from ordinaut.cli.mocks import MockFile, MockOptions, read_mocks
from ordinaut.cli.output import echo, print_json, print_table
from ordinaut.cli.parameters import parse_message
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client.document import to_document
from ordinaut.v1.replay_pb2 import StepComparison
from ordinaut.v1.run_service_pb2 import ReplayRunRequest
from ordinaut.visible import json_text

COLUMNS = ("STEP", "TRY", "OUTCOME", "DIFFERENCE")


def replay(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Run id or `runs/ID`.")],
    pipeline: Annotated[
        str, typer.Option(help="File with another pipeline or task, YAML or JSON (-: standard input).")
    ] = "",
    present_version: Annotated[
        bool, typer.Option("--present-version", help="Use the current version of the task.")
    ] = False,
    mock: MockOptions = None,
    mocks: MockFile = "",
) -> None:
    """Execute a finished run again on its journal and compare the results. Exit code 1 if they differ."""
    session = session_of(context)
    fields = {"name": with_prefix("runs", name), "present_version": present_version}
    if pipeline:
        document = one_document(pipeline)
        fields["pipeline"] = document.get("pipeline", document)
    request = parse_message(fields, ReplayRunRequest(), "")
    request.mocks.extend(read_mocks(mock, mocks))
    answer = session.call(lambda client: client.runs.ReplayRun(request))
    if session.as_json:
        print_json(answer)
    else:
        print_table(COLUMNS, map(_row, answer.steps), "no steps")
        end = StepComparison.Outcome.Name(answer.end)
        echo(f"end {end} {patch_text(answer.end_difference)}".rstrip())
        for warning in answer.warnings:
            echo(f"warning: {warning}", err=True)
    if not answer.same:
        raise typer.Exit(1)


def patch_text(operations: Iterable[Struct]) -> str:
    """A JSON Patch in one line, such as `/input/city = "Faro"`."""
    return "; ".join(map(_operation, operations))


def _operation(operation: Struct) -> str:
    plain = to_document(operation)
    match plain["op"]:
        case "remove":
            return f"{plain['path']} was removed"
        case "move":
            return f"{plain['from']} moved to {plain['path']}"
    return f"{plain['path']} = {json_text(plain.get('value'))}"


def _row(step: StepComparison) -> tuple[str, ...]:
    return step.path, str(step.attempt), StepComparison.Outcome.Name(step.outcome), patch_text(step.difference)
