"""`ordinaut pipeline run`: runs a document once without a task."""

from typing import Annotated, Any

import typer

from ordinaut.cli.commands.pipelines.run_request import run_request
from ordinaut.cli.files import one_document
from ordinaut.cli.output import UsageError
from ordinaut.cli.parameters import parse_json, parse_message, parse_pairs
from ordinaut.cli.run_display import show_started
from ordinaut.cli.session import session_of
from ordinaut.v1.run_service_pb2 import CreateRunRequest

RULES = ("retry", "run_timeout", "deadline", "priority", "start_deadline", "max_losses")
"""Fields of `run_policy` that apply to a run without a task."""


def run_once(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="File with one pipeline or task, YAML or JSON (-: standard input).")],
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", help="Parameter key=value; the value is JSON or text. Repeatable."),
    ] = None,
    params: Annotated[str, typer.Option(help="All parameters as a JSON object; --param overrides single ones.")] = "",
    start: Annotated[str, typer.Option("--start", help="Earliest start time, RFC 3339 (default: now).")] = "",
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the name of the run and exit without waiting.")
    ] = False,
) -> None:
    """Run a pipeline once with the scopes of the caller and display it. Exit code 1 if it does not succeed."""
    session = session_of(context)
    fields: dict[str, Any] = run_request(one_document(file), file, RULES)
    fields["params"] = {**fields.get("params", {}), **_object(params), **parse_pairs(param or [])}
    if start:
        fields["start_time"] = start
    request = parse_message(fields, CreateRunRequest(), "")
    show_started(session, lambda client: client.runs.CreateRun(request), watch=not detach)


def _object(text: str) -> dict[str, Any]:
    value = parse_json(text) if text else {}
    if not isinstance(value, dict):
        raise UsageError(f"--params must be a JSON object (got {text!r:.40})")
    return value
