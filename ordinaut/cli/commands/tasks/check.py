"""`ordinaut task check`: validates stored tasks by the rules of this release."""

from typing import Annotated, Any

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from ordinaut.cli.apply import writable_fields
from ordinaut.cli.output import UsageError, print_json, print_table
from ordinaut.cli.pagination import collect
from ordinaut.cli.session import session_of, with_prefix
from ordinaut.client import ApiError, Client
from ordinaut.v1 import task_service_pb2 as requests
from ordinaut.v1.task_pb2 import Task

COLUMNS = ("TASK", "VERSION", "FIELD", "PROBLEM")
OF_TIME = frozenset({"ONCE_IN_PAST"})
"""Reasons that are right for a new task only: the times of a stored one may have passed."""
MAX_TASKS = 1_000_000


def check(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Tasks: `my-task` or `tasks/my-task`.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Check all tasks.")] = False,
) -> None:
    """List stored tasks that would be refused now. They still run as before; exit code 1 if there are any."""
    if bool(names) == every:
        raise UsageError("either names of tasks or --all is required")
    session = session_of(context)

    async def work(client: Client) -> list[dict[str, Any]]:
        tasks = await _every_task(client) if every else [await _task(client, name) for name in names or ()]
        return [problem for task in tasks for problem in await _problems(client, task)]

    problems = session.call(work)
    if session.as_json:
        print_json({"problems": problems})
    else:
        rows = [(each["task"], str(each["version"]), each["field"], each["message"]) for each in problems]
        print_table(COLUMNS, rows, "no problems")
    if problems:
        raise typer.Exit(1)


async def _every_task(client: Client) -> list[Task]:
    async def page(size: int, token: str) -> tuple[list[Any], str]:
        answer = await client.tasks.ListTasks(requests.ListTasksRequest(page_size=size, page_token=token))
        return list(answer.tasks), answer.next_page_token

    return await collect(MAX_TASKS, page)


async def _task(client: Client, name: str) -> Task:
    task: Task = await client.tasks.GetTask(requests.GetTaskRequest(name=with_prefix("tasks", name)))
    return task


async def _problems(client: Client, task: Task) -> list[dict[str, Any]]:
    request = requests.ValidateTaskRequest()
    FieldMask(paths=writable_fields(task)).MergeMessage(task, request.task)
    try:
        await client.tasks.ValidateTask(request)
    except ApiError as error:
        if not error.violations:
            raise
        return [
            {"task": task.name, "version": task.version, "field": each.field, "message": each.message}
            for each in error.violations
            if each.reason not in OF_TIME
        ]
    return []
