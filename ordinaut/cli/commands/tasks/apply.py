"""Creates tasks, or updates them to match documents."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from ordinaut.cli.apply import Verbs, apply
from ordinaut.cli.output import echo, local_time, print_json
from ordinaut.cli.session import Session, with_prefix
from ordinaut.cli.sources import Source, fixes_in
from ordinaut.client import Client
from ordinaut.client.document import DocumentError, Problem
from ordinaut.v1 import task_service_pb2 as requests
from ordinaut.v1.task_pb2 import Task

REQUEST = requests.ValidateTaskRequest.DESCRIPTOR


def apply_tasks(session: Session, tasks: Iterable[Task], sources: Sequence[Source] = ()) -> None:
    """Creates or updates the tasks, and prints them; the fixes of an error address its document in `sources`.

    Raises:
        DocumentError: a task without a name.
    """
    named = [named_task(task) for task in tasks]

    async def work(client: Client) -> None:
        for task, source in zip_longest(named, sources):
            with fixes_in(source, "task", REQUEST):
                applied, outcome = await apply(task, verbs_of(client))
            if session.as_json:
                print_json(applied)
            else:
                print_task(applied, outcome)

    session.call(work)


def print_task(task: Task, outcome: str) -> None:
    """Prints what became of a task, with its next times and warnings."""
    echo(f"{task.name} {outcome}")
    if task.explanation:
        echo(f"  {task.explanation}")
    for upcoming in task.upcoming:
        note = f" ({upcoming.note})" if upcoming.note else ""
        echo(f"  next {upcoming.local_time or local_time(upcoming.fire_time)}{note}")
    for warning in task.warnings:
        echo(f"  warning: {warning}", err=True)


def named_task(task: Task) -> Task:
    """The task with its whole name.

    Raises:
        DocumentError: it has no name.
    """
    if not task.name:
        raise DocumentError([Problem("task.name", "is required, such as `tasks/my-task`")])
    task.name = with_prefix("tasks", task.name)
    return task


def verbs_of(client: Client) -> Verbs:
    """The calls for tasks."""

    def create(task: Task) -> Any:
        return client.tasks.CreateTask(requests.CreateTaskRequest(task=task, task_id=task.name.partition("/")[2]))

    def update(task: Task, mask: FieldMask) -> Any:
        return client.tasks.UpdateTask(requests.UpdateTaskRequest(task=task, update_mask=mask))

    return Verbs(lambda name: client.tasks.GetTask(requests.GetTaskRequest(name=name)), create, update)
