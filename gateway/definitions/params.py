"""The params of a run: those of the task, overridden by those of the request."""

import orjson
from google.protobuf.struct_pb2 import Struct

from gateway.api.json_values import parse, to_json, to_python
from gateway.api.violations import Problems, reroot
from gateway.clients import EngineClient
from ordinaut.internal.v1.pipeline_engine_service_pb2 import ValidateValueRequest


def merge_params(stored: str, overrides: Struct) -> str:
    """Returns the task's params (JSON), with `overrides` replacing those with the same name."""
    if not overrides.fields:
        return stored
    if stored == "{}":
        return to_json(overrides)
    return orjson.dumps(parse(stored) | to_python(overrides)).decode()


async def check_params(
    engines: EngineClient, problems: Problems, schema: str | None, params: str, *, overrides: Struct
) -> None:
    """Adds the violations of the task's params schema (JSON); without overrides the task was validated with them.

    Raises:
        UnavailableError: ENGINE_UNAVAILABLE.
    """
    if schema is None or not overrides.fields:
        return
    response = await engines.validate_value(ValidateValueRequest(schema=schema.encode(), value=params.encode()))
    problems.extend(reroot(response.violations, "params"))
