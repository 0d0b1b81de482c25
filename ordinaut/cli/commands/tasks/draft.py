"""`ordinaut draft`: shows the task that a document means, with changes, questions and losses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text  # noqa: TID251 - a type

from ordinaut.cli.commands.tasks.apply import apply_tasks
from ordinaut.cli.files import STDIN, read_text
from ordinaut.cli.output import UsageError, echo, echo_lines, print_json, styled
from ordinaut.cli.session import Session, session_of
from ordinaut.cli.task_yaml import task_yaml
from ordinaut.v1.draft_pb2 import Certainty, Change, Dropped, Problem, Question, Source
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import DraftTaskRequest, DraftTaskResponse

VALUE_MAX = 100  # characters of a value in the list of changes


def draft(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(help="Document that was written from memory or for another system (-: stdin).")
    ],
    answer: Annotated[
        list[str] | None, typer.Option(help="Answer QUESTION=CHOICE to a question of an earlier draft. Repeatable.")
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="File to write the task to, as YAML.")] = "",
    time_zone: Annotated[str, typer.Option(help="IANA zone of local times, for a schedule that names none.")] = "",
    source_format: Annotated[
        str,
        typer.Option("--format", help="Format of the document, such as yaml, json or crontab. Default: recognised."),
    ] = "",
) -> None:
    """Show the task that a document means. Exit code 1 if a question is open or a problem is left."""
    session = session_of(context)
    request = DraftTaskRequest(
        text=read_text(file), answers=answers_of(answer or []), time_zone=time_zone, format=source_format
    )
    response = drafted(session, request)
    if session.as_json:
        print_json(response)
    else:
        show(response)
    text = "---\n".join(task_yaml(named_by_file(task, file)) for task in response.tasks)
    if output:
        Path(output).write_text(text)
    elif not session.as_json:
        echo_lines(text)
    if not response.complete:
        raise typer.Exit(1)


def drafted(session: Session, request: DraftTaskRequest) -> DraftTaskResponse:
    """The answer of the gateway."""
    return session.call(lambda client: client.tasks.DraftTask(request))


def answers_of(texts: Sequence[str]) -> dict[str, str]:
    """The answers in options `QUESTION=CHOICE`.

    Raises:
        typer.BadParameter: an option has another form.
    """
    answers = {}
    for text in texts:
        question, equals, choice = text.rpartition("=")
        if not equals or not question or not choice:
            raise UsageError(f"must have the form QUESTION=CHOICE (got {text!r})")
        answers[question] = choice
    return answers


def apply_certain(session: Session, files: Sequence[str]) -> None:
    """Applies the tasks of files after their certain changes, which are shown.

    A file that needs an assumption or an answer is refused before anything is applied.
    """
    responses = [(file, drafted(session, DraftTaskRequest(text=read_text(file)))) for file in files]
    refused = [file for file, response in responses if not _is_certain(response)]
    for file, response in responses:
        if not session.as_json or file in refused:
            show(response)
    if refused:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print("nothing was applied: only certain changes are made by --fix", style="bold red")
        for file in refused:
            console.print(f"  use: ordinaut draft {file} -o task.yaml")
        raise typer.Exit(1)
    apply_tasks(session, [task for _, response in responses for task in response.tasks])


def _is_certain(response: DraftTaskResponse) -> bool:
    certain = all(change.certainty == Certainty.CERTAIN for change in response.changes)
    return response.complete and certain and not response.dropped


def show(response: DraftTaskResponse) -> None:
    """Prints what was changed, asked and lost to standard error."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for change in response.changes:
        console.print(_change(change))
    for loss in response.dropped:
        console.print(_loss(loss))
    for problem in response.problems:
        console.print(_problem(problem))
    for question in response.questions:
        _question(console, question)


def _change(change: Change) -> Text:
    certain = change.certainty == Certainty.CERTAIN
    text = styled(
        (_place(change.source), "dim"), ("certain " if certain else "assumed ", "green" if certain else "yellow")
    )
    text.append_text(styled(change.why))
    before, after = getattr(change, "from"), change.to
    if before != "null":
        text.append("\n").append_text(styled((f"    - {_short(before)}", "red")))
    if after != "null":
        text.append("\n").append_text(styled((f"    + {_short(after)}", "green")))
    return text


def _loss(loss: Dropped) -> Text:
    return styled((_place(loss.source), "dim"), ("lost ", "red"), loss.why)


def _problem(problem: Problem) -> Text:
    return styled((_place(problem.source), "dim"), ("problem ", "red"), (problem.field, "bold"), f": {problem.message}")


def _question(console: Console, question: Question) -> None:
    console.print(styled(("question ", "magenta"), (question.id, "bold"), f": {question.text}"))
    for choice in question.choices:
        default = " (default)" if choice.id == question.default_choice else ""
        console.print(styled("    ", (f"--answer {question.id}={choice.id}", "cyan"), f"  {choice.label}{default}"))


def _place(source: Source) -> str:
    return f"line {source.line}: " if source.line else ""


def _short(text: str) -> str:
    return text if len(text) <= VALUE_MAX else text[: VALUE_MAX - 1] + "…"


def named_by_file(task: Task, file: str) -> Task:
    """The task with a name made of the name of the file, if it is missing."""
    if task.name or file == STDIN:
        return task
    words = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in Path(file).stem.lower())
    task_id = words.strip("-0123456789")[:63].strip("-")
    named = Task()
    named.CopyFrom(task)
    if task_id:
        named.name = f"tasks/{task_id}"
        echo(f"the document has no name: tasks/{task_id}, from the name of the file", err=True)
    return named
