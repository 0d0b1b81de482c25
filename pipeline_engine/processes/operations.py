"""What a child process of the engine can do: pure functions of bytes, which may take long for some inputs."""

from collections.abc import Callable, Mapping

import orjson

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from pipeline_engine.data.data_keys import DataKeys
from pipeline_engine.data.schemas import compile_schema
from pipeline_engine.simulation.simulation import simulate
from pipeline_engine.validation.validate import validate_pipeline, validate_tool, validate_value

HAS_KEYS, NO_KEYS = b"+", b"-"
"""The first byte of a VALIDATE_TOOL: whether the engine can encrypt sensitive values."""
CHECK_VALUE, VALIDATE_PIPELINE, VALIDATE_TOOL, VALIDATE_VALUE, SIMULATE_RUN = range(5)


def check_value(request: bytes) -> bytes:
    """Takes `{"schema", "value"}`; returns the pointer and the message of the first problem, or null."""
    document = orjson.loads(request)
    check = compile_schema(document["schema"])
    return orjson.dumps(None if check is None else check.first_problem(document["value"]))


def simulate_run(request: bytes) -> bytes:
    """Takes the text of the data keys, which may be empty, a NUL and a SimulateRunRequest; returns the response."""
    keys, _, content = request.partition(b"\0")
    data_keys = DataKeys.parse(keys.decode()) if keys else None
    return simulate(engine_pb2.SimulateRunRequest.FromString(content), data_keys).SerializeToString()


OPERATIONS: Mapping[int, Callable[[bytes], bytes]] = {
    CHECK_VALUE: check_value,
    VALIDATE_PIPELINE: lambda request: validate_pipeline(
        engine_pb2.ValidatePipelineRequest.FromString(request)
    ).SerializeToString(),
    VALIDATE_TOOL: lambda request: validate_tool(
        engine_pb2.ValidateToolRequest.FromString(request[1:]), has_keys=request[:1] == HAS_KEYS
    ).SerializeToString(),
    VALIDATE_VALUE: lambda request: validate_value(
        engine_pb2.ValidateValueRequest.FromString(request)
    ).SerializeToString(),
    SIMULATE_RUN: simulate_run,
}
