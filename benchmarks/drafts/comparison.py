"""Whether a returned task is the one that was meant."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict

from benchmarks.drafts import same_pipeline, same_schedule
from benchmarks.drafts.same_pipeline import Work
from benchmarks.drafts.validity import checked_pipeline, problems_of
from gateway.api.json_values import to_python
from ordinaut.v1.task_pb2 import Task

PARAM = re.compile(r"\bparams\.([A-Za-z_]\w*)")
ANNOTATIONS = frozenset({"title", "description", "default", "examples", "$schema", "$comment"})
DEFAULT_POLICY = {"priority": 5, "max_losses": 3, "run_timeout": "86400s"}


def difference(task: Task, oracle: Task, now: datetime) -> str:
    """The first difference in words; empty if the task means the same as the oracle."""
    if problems := problems_of(task, now):
        return f"invalid: {problems[0]}"
    return (
        _texts(task, oracle)
        or _values("run_policy", *(_policy(each) for each in (task, oracle)))
        or _values("params", *(to_python(each.params) for each in (task, oracle)))
        or _values("params_schema", *(_params_schema(each) for each in (task, oracle)))
        or same_schedule.difference(task.schedule, oracle.schedule, now)
        or _pipelines(task, oracle)
    )


def _texts(task: Task, oracle: Task) -> str:
    """Names and labels are compared if the oracle has them: a draft may leave them out."""
    for name in ("name", "display_name", "description"):
        mine, expected = getattr(task, name), getattr(oracle, name)
        if expected and mine != expected:
            return f"{name}: {mine!r} instead of {expected!r}"
    return _values("labels", dict(task.labels), dict(oracle.labels)) if oracle.labels else ""


def _values(name: str, mine: Any, expected: Any) -> str:
    return "" if mine == expected else f"{name}: {mine} instead of {expected}"


def _policy(task: Task) -> dict[str, Any]:
    policy = MessageToDict(task.run_policy, preserving_proto_field_name=True)
    return {key: value for key, value in policy.items() if value and DEFAULT_POLICY.get(key) != value}


def _params_schema(task: Task) -> Any:
    """The schema without annotations, and without requiring params that the task sets: they are never missing."""
    schema = _schema(to_python(task.params_schema))
    required = sorted(set(schema.pop("required", ())) - to_python(task.params).keys())
    return {**schema, "required": required} if required else schema


def _schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_schema(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: _schema(item) for key, item in schema.items() if key not in ANNOTATIONS or isinstance(item, Mapping)}


def _pipelines(task: Task, oracle: Task) -> str:
    works = [_work(each) for each in (task, oracle)]
    names = sorted(set(PARAM.findall(orjson.dumps([works[0].document, works[1].document]).decode())))
    return same_pipeline.difference(works[0], works[1], names)


def _work(task: Task) -> Work:
    policy = MessageToDict(task.run_policy, preserving_proto_field_name=True)
    document = orjson.loads(checked_pipeline(task).pipeline)
    return Work(document, to_python(task.params), policy.get("retry"))
