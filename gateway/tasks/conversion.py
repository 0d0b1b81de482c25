"""Converts tasks between stored records and API messages."""

from collections.abc import Sequence

import orjson
from google.protobuf import json_format

from gateway.api.field_masks import etag_of
from gateway.api.json_values import fill_struct, parse, timestamp
from ordinaut.store.tasks.task import Description, TaskRecord
from ordinaut.v1.schedule_pb2 import Upcoming
from ordinaut.v1.task_pb2 import Task


def to_task(
    record: TaskRecord, upcoming: Sequence[Upcoming] = (), warnings: Sequence[str] = (), explanation: str = ""
) -> Task:
    """Converts a stored task."""
    task = Task(
        name=f"tasks/{record.name}",
        uid=str(record.uid),
        display_name=record.display_name,
        description=record.description,
        labels=parse(record.labels),
        owner=record.owner,
        scopes=record.scopes,
        state=Task.State.Value(record.state),
        state_reason=record.state_reason,
        version=record.version,
        etag=etag_of(record.revision),
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        upcoming=upcoming,
        explanation=explanation,
        warnings=warnings,
    )
    json_format.Parse(record.schedule, task.schedule)
    json_format.Parse(record.run_policy, task.run_policy)
    fill_struct(task.pipeline, parse(record.pipeline))
    fill_struct(task.params, parse(record.params))
    if record.params_schema is not None:
        fill_struct(task.params_schema, parse(record.params_schema), rounds=True)
    return task


def description_of(task: Task) -> Description:
    """Returns the descriptive fields as they are stored."""
    labels = orjson.dumps(dict(task.labels), option=orjson.OPT_SORT_KEYS).decode()
    return Description(display_name=task.display_name, description=task.description, labels=labels)
