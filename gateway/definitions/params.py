"""What a caller gives a run of a task as params, over those of the task itself."""

import orjson
from google.protobuf.struct_pb2 import Struct

from gateway.api.json_values import parse, to_json, to_python
from gateway.api.violations import Problems, reroot
from gateway.clients import Engines
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidateValueRequest


def laid_over(stored: str, given: Struct) -> str:
    """The task's params (JSON) with the given ones in place of those of the same name."""
    if not given.fields:
        return stored
    if stored == "{}":
        return to_json(given)
    return orjson.dumps(parse(stored) | to_python(given)).decode()


async def check_params(engines: Engines, problems: Problems, schema: str | None, params: str, *, given: Struct) -> None:
    """Adds what the task's schema (JSON) refuses of its params; without given ones they were checked with the task.

    Raises:
        UnavailableError: ENGINE_UNAVAILABLE.
    """
    if schema is None or not given.fields:
        return
    answer = await engines.validate_value(ValidateValueRequest(schema=schema.encode(), value=params.encode()))
    problems.extend(reroot(answer.violations, "params"))
