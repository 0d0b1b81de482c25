"""`ordinaut task explain`: explains why a task ran at a time, or did not."""

from typing import Annotated

import typer

from ordinaut.cli.output import echo, print_json
from ordinaut.cli.parameters import parse_message
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.v1.explanation_pb2 import OccurrenceExplanation
from ordinaut.v1.task_service_pb2 import ExplainOccurrenceRequest


def explain(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Task: `my-task` or `tasks/my-task`.")],
    at: Annotated[
        str, typer.Option(help="Time, RFC 3339 (default: a late or waiting occurrence, else the newest).")
    ] = "",
    language: Annotated[str, typer.Option(help="Language of the explanation: en or ro.")] = "en",
) -> None:
    """Explain why a task ran at a time, or why it did not."""
    session = session_of(context)
    fields = {"name": with_prefix("tasks", name), "language": language, **({"time": at} if at else {})}
    request = parse_message(fields, ExplainOccurrenceRequest(), "")
    explanation = session.call(lambda client: client.tasks.ExplainOccurrence(request))
    if session.as_json:
        print_json(explanation)
    else:
        echo(f"{OccurrenceExplanation.Verdict.Name(explanation.verdict)}: {explanation.explanation}")
