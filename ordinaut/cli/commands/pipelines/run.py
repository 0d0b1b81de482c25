"""`ordinaut pipeline run`: a document once, without a task."""

from typing import Annotated, Any

import typer

from ordinaut.cli.commands.pipelines.run_request import run_request
from ordinaut.cli.files import one_document
from ordinaut.cli.parameters import parse_json, parse_message, parse_pairs
from ordinaut.cli.run_display import show_started
from ordinaut.cli.session import session_of
from ordinaut.v1.run_service_pb2 import CreateRunRequest

RULES = ("retry", "run_timeout", "priority", "start_deadline", "max_losses")
"""Of a task's `run_policy`: the others need a task."""


def run_once(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="YAML or JSON with one pipeline or task; - is stdin.")],
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="key=value; may be repeated.")] = None,
    params: Annotated[str, typer.Option(help="All params as one JSON object; --param goes over it.")] = "",
    start: Annotated[str, typer.Option("--start", help="Not before this time (RFC 3339).")] = "",
    detach: Annotated[bool, typer.Option("--detach", help="Print the run's name and leave it alone.")] = False,
) -> None:
    """Execute a pipeline once, with the caller's rights, and follow it to its end; exit 1 unless it succeeds."""
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
        raise typer.BadParameter("--params is a JSON object")
    return value
