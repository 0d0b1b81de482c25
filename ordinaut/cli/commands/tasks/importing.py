"""`ordinaut import`: tasks from the files of other systems."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ordinaut.cli.commands.tasks.apply import apply_tasks
from ordinaut.cli.commands.tasks.draft import answers_of, drafted, named_by_file, show
from ordinaut.cli.files import read_text
from ordinaut.cli.output import echo, echo_lines, local_time, print_json
from ordinaut.cli.session import Session, session_of
from ordinaut.cli.task_yaml import task_yaml
from ordinaut.client import ApiError
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import DraftTaskRequest, PreviewScheduleRequest

NEXT_TIMES = 3


class Source(StrEnum):
    """A system that the files come from."""

    AIRFLOW = "airflow"
    ARGO = "argo"
    CELERY = "celery"
    CRONTAB = "crontab"
    GITHUB = "github"
    KESTRA = "kestra"
    N8N = "n8n"
    PREFECT = "prefect"
    STATES = "states"
    SYSTEMD = "systemd"
    TEMPORAL = "temporal"
    ZAPIER = "zapier"


def import_file(
    context: typer.Context,
    source: Annotated[Source, typer.Argument(help="System that the file is written for.")],
    file: Annotated[str, typer.Argument(help="File to import (-: standard input).")],
    answer: Annotated[
        list[str] | None, typer.Option(help="Answer QUESTION=CHOICE to a question of an earlier import. Repeatable.")
    ] = None,
    output: Annotated[str, typer.Option("--output", "-o", help="File to write the tasks to, as YAML.")] = "",
    time_zone: Annotated[str, typer.Option(help="IANA zone of local times, for a schedule that names none.")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Create or update the tasks, if no question is open.")] = False,
) -> None:
    """Show the tasks that a file of another system means: next times, questions and losses.

    Exit code 1 if a question is open or a problem is left.
    """
    session = session_of(context)
    request = DraftTaskRequest(
        text=read_text(file), answers=answers_of(answer or []), time_zone=time_zone, format=source.value
    )
    response = drafted(session, request)
    tasks = [named_by_file(task, file) for task in response.tasks]
    if session.as_json:
        print_json(response)
    else:
        show(response)
        for task in tasks:
            _preview(session, task)
    text = "---\n".join(task_yaml(task) for task in tasks)
    if output:
        Path(output).write_text(text)
    elif not session.as_json and not apply:
        echo_lines(text)
    if not response.complete:
        raise typer.Exit(1)
    if apply:
        apply_tasks(session, tasks)


def _preview(session: Session, task: Task) -> None:
    """Prints when a task runs, to standard error; nothing while its schedule is not valid."""
    if not task.HasField("schedule"):
        echo(f"{task.name or 'the task'} is started by hand", err=True)
        return
    request = PreviewScheduleRequest(schedule=task.schedule, count=NEXT_TIMES)
    try:
        answer = session.call(lambda client: client.tasks.PreviewSchedule(request))
    except ApiError:
        return  # its problems and questions have been printed
    echo(f"{task.name or 'the task'}: {answer.explanation}", err=True)
    for upcoming in answer.occurrences:
        echo(f"    next {upcoming.local_time or local_time(upcoming.fire_time)}", err=True)
