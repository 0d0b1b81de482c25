"""What a child process of the engine can do: pure functions of bytes, which may take long for some inputs."""

from collections.abc import Callable, Mapping

import orjson

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from pipeline_engine.data.schemas import compile_schema
from pipeline_engine.simulation.simulation import simulate
from pipeline_engine.validation.validate import validate_pipeline, validate_tool, validate_value

CHECK_VALUE, VALIDATE_PIPELINE, VALIDATE_TOOL, VALIDATE_VALUE, SIMULATE_RUN = range(5)


def check_value(request: bytes) -> bytes:
    """Takes `{"schema", "value"}`; returns the pointer and the message of the first problem, or null."""
    document = orjson.loads(request)
    check = compile_schema(document["schema"])
    return orjson.dumps(None if check is None else check.first_problem(document["value"]))


OPERATIONS: Mapping[int, Callable[[bytes], bytes]] = {
    CHECK_VALUE: check_value,
    VALIDATE_PIPELINE: lambda request: validate_pipeline(
        engine_pb2.ValidatePipelineRequest.FromString(request)
    ).SerializeToString(),
    VALIDATE_TOOL: lambda request: validate_tool(
        engine_pb2.ValidateToolRequest.FromString(request)
    ).SerializeToString(),
    VALIDATE_VALUE: lambda request: validate_value(
        engine_pb2.ValidateValueRequest.FromString(request)
    ).SerializeToString(),
    SIMULATE_RUN: lambda request: simulate(engine_pb2.SimulateRunRequest.FromString(request)).SerializeToString(),
}
