"""Whether a task is valid: the checks of the scheduler and of the engine, without servers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from benchmarks.drafts.tools import definitions
from gateway.api.json_values import to_json, to_python
from gateway.definitions.references import tool_uses
from ordinaut.documents.reading import fill
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidatePipelineRequest, ValidatePipelineResponse
from ordinaut.v1.task_pb2 import Task
from pipeline_engine.validation.validate import validate_pipeline
from scheduler.validation.schedule import validate


def read_task(document: Mapping[str, Any]) -> Task:
    """Reads a task as a file is read.

    Raises:
        ValueError: with all problems of the document.
    """
    task = Task()
    if problems := fill(document, task):
        raise ValueError("; ".join(f"{problem.field}: {problem.message}" for problem in problems))
    return task


def checked_pipeline(task: Task) -> ValidatePipelineResponse:
    """Checks the pipeline and params of a task; the response has the normalised document."""
    used = {use.tool for use in tool_uses(to_python(task.pipeline))}
    tools = definitions()
    return validate_pipeline(
        ValidatePipelineRequest(
            pipeline=to_json(task.pipeline).encode(),
            tools=[tools[name] for name in sorted(used & tools.keys())],
            tool_names=sorted(tools),
            params_schema=to_json(task.params_schema).encode() if task.HasField("params_schema") else b"",
            params=to_json(task.params).encode(),
        )
    )


def problems_of(task: Task, now: datetime) -> list[str]:
    """Every reason why the task would be refused at `now`, as `path: message`."""
    schedule = [
        f"schedule.{each.field}: {each.message}" for each in validate(task.schedule, now, stored=False).violations
    ]
    pipeline = [f"{each.field}: {each.message}" for each in checked_pipeline(task).violations]
    return [*schedule, *pipeline]
