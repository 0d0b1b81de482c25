"""Tasks from files: the problems of a document and those that the gateway finds are reported together."""

from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from ordinaut.cli.apply import without_output
from ordinaut.cli.session import Session, with_prefix
from ordinaut.cli.sources import Source, fixes_in, read_sources
from ordinaut.client import ApiError, Client, Fix
from ordinaut.client.document import DocumentError, Problem
from ordinaut.client.errors import Violation
from ordinaut.documents.patch import rank
from ordinaut.documents.reading import fill
from ordinaut.v1 import task_service_pb2 as requests
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.task_pb2 import Task

REQUEST = requests.ValidateTaskRequest.DESCRIPTOR


@dataclass(frozen=True, slots=True)
class TaskDocument:
    """A task as far as its document could be read, and the problems of the document with their fixes."""

    task: Task
    violations: Sequence[Violation]
    fixes: Sequence[Fix]
    source: Source


def read_tasks(session: Session, files: Sequence[str]) -> list[TaskDocument]:
    """Returns the tasks of files.

    Raises:
        DocumentError: the documents are invalid, and the gateway found nothing else or did not answer.
        ApiError: the documents are invalid, with what the gateway found in their other parts.
    """
    read = [read_task(source) for source in read_sources(files)]
    if any(each.violations for each in read):
        session.call(lambda client: refuse_unreadable(client, read))
    return read


def read_task(source: Source) -> TaskDocument:
    """Returns a task as far as its document could be read."""
    task = Task()
    problems = fill(without_output(dict(source.document), task), task, "task")
    place = source.label
    violations = [Violation(f"{place}{each.field}", each.message, ErrorReason.Name(each.reason)) for each in problems]
    fixes = [
        source.placed(Fix(each.repair.explanation, each.field, each.repair.operations), "task", REQUEST)
        for each in problems
        if each.repair is not None
    ]
    if not task.name and not any(each.field == "task.name" for each in problems):
        violations.append(Violation(f"{place}task.name", "is required, such as `tasks/my-task`", "FIELD_REQUIRED"))
    elif task.name:
        task.name = with_prefix("tasks", task.name)
    return TaskDocument(task, violations, fixes, source)


async def refuse_unreadable(client: Client, read: Sequence[TaskDocument]) -> None:
    """Reports the problems of documents together with what the gateway finds in their other parts.

    Raises:
        DocumentError, ApiError: as `read_tasks`; nothing if all documents could be read.
    """
    if not any(each.violations for each in read):
        return
    violations: list[Violation] = []
    fixes: list[Fix] = []
    is_local = True
    for document in read:
        of_gateway, its_fixes = await _found_by_gateway(client, document)
        is_local = is_local and not of_gateway
        violations += [*document.violations, *of_gateway]
        fixes += sorted([*its_fixes, *document.fixes], key=lambda fix: rank(fix.operations))
    if is_local and not fixes:
        raise DocumentError([Problem(each.field, each.message) for each in violations])
    message = "; ".join(f"{each.field}: {each.message}" for each in violations)
    raise ApiError(grpc.StatusCode.INVALID_ARGUMENT.name, message, violations[0].reason, {}, violations, fixes)


async def _found_by_gateway(client: Client, document: TaskDocument) -> tuple[list[Violation], list[Fix]]:
    """Returns what the gateway finds in the parts that could be read; nothing if it does not answer."""
    task = Task()
    task.CopyFrom(document.task)
    task.ClearField("name")
    try:
        with fixes_in(document.source, "task", REQUEST):
            await client.tasks.ValidateTask(requests.ValidateTaskRequest(task=task))
    except ApiError as error:
        unread = [violation.field for violation in document.violations]
        problems = [each for each in error.violations if not any(_overlap(each.field, field) for field in unread)]
        fields = {violation.field for violation in problems}
        return problems, [fix for fix in error.fixes if fix.field in fields]
    return [], []


def _overlap(first: str, second: str) -> bool:
    """Whether one of two paths is the other or is inside it."""
    shorter, longer = sorted((first, second), key=len)
    return shorter == longer or longer.startswith((f"{shorter}.", f"{shorter}["))
