"""Writes a task as YAML for people: in the order in which a task is read, short values on one line."""

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from ordinaut.client.document import to_document
from ordinaut.v1.task_pb2 import Task

ORDER = (
    *("name", "display_name", "description", "labels", "schedule", "run_policy", "params", "params_schema", "pipeline"),
    *("version", "id", "if", "foreach", "max_parallel", "uses", "with", "do", "branches", "needs_approval", "save_as"),
    *("retry", "timeout", "steps", "output", "on_error"),
)
INLINE = 72  # characters of a value that is written on one line


def task_yaml(task: Task) -> str:
    """A task as one document of YAML."""
    return document_yaml(to_document(task))


def document_yaml(document: Mapping[str, Any]) -> str:
    """A document as YAML.

    >>> steps = [{"uses": "a.b", "id": "x"}]
    >>> print(document_yaml({"pipeline": {"steps": steps, "version": 1}, "name": "tasks/t"}), end="")
    name: tasks/t
    pipeline:
      version: 1
      steps:
        - {id: x, uses: a.b}
    """
    writer = YAML()
    writer.width = 120
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    writer.dump(_ordered(document, depth=0), stream)
    return stream.getvalue()


def _ordered(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
        result = CommentedMap((name, _ordered(value[name], depth + 1)) for name in names)
        if depth > 1 and len(str(value)) <= INLINE:
            result.fa.set_flow_style()
        return result
    if isinstance(value, list):
        items = CommentedSeq(_ordered(item, depth + 1) for item in value)
        if depth > 1 and len(str(value)) <= INLINE and not any(isinstance(item, Mapping) for item in value):
            items.fa.set_flow_style()
        return items
    return value
