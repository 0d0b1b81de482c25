"""`ordinaut task explain`: why a task ran at a moment, or did not."""

from typing import Annotated

import typer

from ordinaut.cli.output import print_json
from ordinaut.cli.parameters import parse_message
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.v1.explanation_pb2 import OccurrenceExplanation
from ordinaut.v1.task_service_pb2 import ExplainOccurrenceRequest


def explain(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The task, as `my-task` or `tasks/my-task`.")],
    at: Annotated[str, typer.Option(help="The moment (RFC 3339); what is late or waits, else the newest.")] = "",
    language: Annotated[str, typer.Option(help="en or ro.")] = "en",
) -> None:
    """Say why the task ran at a moment, or did not, and what is in its way."""
    session = session_of(context)
    fields = {"name": with_prefix("tasks", name), "language": language, **({"time": at} if at else {})}
    request = parse_message(fields, ExplainOccurrenceRequest(), "")
    explanation = session.call(lambda client: client.tasks.ExplainOccurrence(request))
    if session.as_json:
        print_json(explanation)
    else:
        typer.echo(f"{OccurrenceExplanation.Verdict.Name(explanation.verdict)}: {explanation.explanation}")
