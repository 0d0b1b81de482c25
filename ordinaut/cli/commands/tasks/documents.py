"""Tasks from files: the problems of a document and those that the gateway finds are reported together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import grpc

from ordinaut.cli.apply import without_output
from ordinaut.cli.files import documents
from ordinaut.cli.session import Session, with_prefix
from ordinaut.client import ApiError, Client, Fix
from ordinaut.client.document import DocumentError, Problem
from ordinaut.client.errors import Violation
from ordinaut.documents.reading import fill
from ordinaut.v1 import task_service_pb2 as requests
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_pb2 import Task


@dataclass(frozen=True, slots=True)
class TaskDocument:
    """A task as far as its document could be read, and the problems of the document."""

    task: Task
    violations: Sequence[Violation]


def read_tasks(session: Session, files: Sequence[str]) -> list[Task]:
    """Returns the tasks of files.

    Raises:
        DocumentError: the documents are invalid, and the gateway found nothing else or did not answer.
        ApiError: the documents are invalid, with what the gateway found in their other parts.
    """
    read = [read_task(document) for path in files for document in documents(path)]
    if any(each.violations for each in read):
        session.call(lambda client: _refuse(client, read))
    return [each.task for each in read]


def read_task(document: dict[str, Any]) -> TaskDocument:
    """Returns a task as far as its document could be read."""
    task = Task()
    found = fill(without_output(document, task), task, "task")
    violations = [Violation(each.field, each.message, ErrorReason.Name(each.reason)) for each in found]
    if not task.name and not any(each.field == "task.name" for each in violations):
        violations.append(Violation("task.name", "is required, such as `tasks/my-task`", "FIELD_REQUIRED"))
    elif task.name:
        task.name = with_prefix("tasks", task.name)
    return TaskDocument(task, violations)


async def _refuse(client: Client, read: Sequence[TaskDocument]) -> None:
    violations: list[Violation] = []
    fixes: list[Fix] = []
    is_local = True
    for document in read:
        of_gateway, its_fixes = await _found_by_gateway(client, document)
        is_local = is_local and not of_gateway
        place = f"{document.task.name or 'task'}: " if len(read) > 1 else ""
        found = [*document.violations, *of_gateway]
        violations += [replace(violation, field=f"{place}{violation.field}") for violation in found]
        fixes += [replace(fix, field=f"{place}{fix.field}") for fix in its_fixes]
    if is_local:
        raise DocumentError([Problem(each.field, each.message) for each in violations])
    message = "; ".join(f"{each.field}: {each.message}" for each in violations)
    raise ApiError(grpc.StatusCode.INVALID_ARGUMENT.name, message, violations[0].reason, {}, violations, fixes)


async def _found_by_gateway(client: Client, document: TaskDocument) -> tuple[list[Violation], list[Fix]]:
    """Returns what the gateway finds in the parts that could be read; nothing if it does not answer."""
    task = Task()
    task.CopyFrom(document.task)
    task.ClearField("name")
    try:
        await client.tasks.ValidateTask(requests.ValidateTaskRequest(task=task))
    except ApiError as error:
        unread = [violation.field for violation in document.violations]
        found = [each for each in error.violations if not any(_overlap(each.field, field) for field in unread)]
        kept = {violation.field for violation in found}
        return found, [fix for fix in error.fixes if fix.field in kept]
    return [], []


def _overlap(first: str, second: str) -> bool:
    """Whether one of two paths is the other or is inside it."""
    shorter, longer = sorted((first, second), key=len)
    return shorter == longer or longer.startswith((f"{shorter}.", f"{shorter}["))
