"""The schema of a step's output, from the output schemas of the tools that it calls."""

from collections.abc import Mapping
from typing import Any

from pipeline_engine.data.schema_paths import EMBEDDED
from pipeline_engine.language.builtin_steps import waits_for_child
from pipeline_engine.language.document import Step

ERROR = {"type": "object", "properties": {"error": True}, "additionalProperties": False}
"""The output of a failed step with `on_error`."""


def output_schema(step: Step, tools: Mapping[str, Mapping[str, Any]]) -> Any:
    """Returns the schema of the output of a step that has run; True if nothing is known about it."""
    schema = output_of_round(step, tools)
    if step.foreach is not None:
        handled = step.on_error != "fail" or step.tolerate is not None
        schema = {"type": "array", "items": _or_error(schema) if handled else schema}
    if step.otherwise:
        other = output_schema(step.otherwise[-1], tools)
        schema = True if schema is True or other is True else {"anyOf": [schema, other]}
    return _or_error(schema) if step.on_error != "fail" and schema is not True else schema


def _or_error(schema: Any) -> Any:
    return {"anyOf": [schema, ERROR]}


def output_of_round(step: Step, tools: Mapping[str, Mapping[str, Any]]) -> Any:
    """Returns the schema of the output of one iteration or round of a step."""
    if step.body is not None:
        return output_schema(step.body[-1], tools) if step.body else True
    if step.branches is not None:
        members = {name: output_schema(steps[-1], tools) for name, steps in step.branches.items() if steps}
        return {"type": "object", "properties": members, "additionalProperties": False}
    if waits_for_child(step):
        return True
    schema = tools.get(step.uses, {}).get("output_schema")
    return True if schema is None else {EMBEDDED: schema}
