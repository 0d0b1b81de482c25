"""The engine's operations of unknown cost, executed in child processes with a deadline."""

from collections.abc import Callable
from typing import Protocol

import orjson

from ordinaut.errors import UnavailableError
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.internal.v1.violation_pb2 import Violation
from ordinaut.processes.pool import ProcessPool, TooCostlyError
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine import metrics
from pipeline_engine.data.data_keys import DataKeys
from pipeline_engine.data.failure import TOOL_UNAVAILABLE, VALIDATION_INPUT, Failure
from pipeline_engine.data.schemas import Problem
from pipeline_engine.interpreter.requests import CheckValue
from pipeline_engine.processes import operations
from pipeline_engine.simulation.simulation import MAX_SECONDS

CHECK_SECONDS = 1.0
VALIDATION_SECONDS = 5.0
SIMULATION_SECONDS = MAX_SECONDS + 2.0
"""CPU time of each."""
CHECK_PATIENCE = 10.0
REQUEST_PATIENCE = 8.0
"""How long each may take on a busy machine; the gateway waits 10 s for a validation or simulation."""
SIZE = 2
"""Processes of each kind: checks of values, validations, simulations. None delays one of another kind."""
SCHEMA_BUDGET = "SCHEMA_BUDGET"


class Pool(Protocol):
    """Executes operations, as ProcessPool does."""

    async def run(self, operation: int, request: bytes, cpu_seconds: float, seconds: float) -> bytes:
        """Executes one operation; raises TooCostlyError if it uses more CPU time, or takes more than `seconds`."""
        ...

    async def close(self) -> None:
        """Ends every process."""
        ...


def _new_pool() -> Pool:
    return ProcessPool(operations.__name__, SIZE, metrics.PROCESSES_ENDED.inc)


class Checks:
    """Checks of values in runs, validations of definitions, and simulations; each kind has a pool of its own.

    `keys` decrypt the sensitive values of a run that is replayed.
    """

    def __init__(self, new_pool: Callable[[], Pool] = _new_pool, keys: DataKeys | None = None) -> None:
        self._keys = keys
        self._values, self._validations, self._simulations = new_pool(), new_pool(), new_pool()

    async def check(self, request: CheckValue) -> Problem | Failure | None:
        """Returns the first problem of a value; a Failure if its check takes more than 1 s of CPU time."""
        body = b'{"schema":%b,"value":%b}' % (orjson.dumps(request.check.schema), request.body)
        try:
            answer = await self._values.run(operations.CHECK_VALUE, body, CHECK_SECONDS, CHECK_PATIENCE)
        except TooCostlyError:
            size = len(request.body)
            message = f"the check of {size} bytes against the schema takes longer than {CHECK_SECONDS:g} s of CPU time"
            return Failure(VALIDATION_INPUT, message, details={"reason": SCHEMA_BUDGET})
        except UnavailableError as busy:
            return Failure(TOOL_UNAVAILABLE, busy.message, retryable=True)
        problem = orjson.loads(answer)
        return None if problem is None else (problem[0], problem[1])

    async def validate_pipeline(
        self, request: engine_pb2.ValidatePipelineRequest
    ) -> engine_pb2.ValidatePipelineResponse:
        """Returns every problem of a pipeline and its params."""
        try:
            answer = await self._validate(operations.VALIDATE_PIPELINE, request.SerializeToString())
        except TooCostlyError:
            return engine_pb2.ValidatePipelineResponse(violations=[_too_costly("pipeline")])
        return engine_pb2.ValidatePipelineResponse.FromString(answer)

    async def validate_tool(self, request: engine_pb2.ValidateToolRequest) -> engine_pb2.ValidateToolResponse:
        """Returns every reason why a tool cannot be registered."""
        try:
            has_keys = operations.HAS_KEYS if self._keys is not None else operations.NO_KEYS
            answer = await self._validate(operations.VALIDATE_TOOL, has_keys + request.SerializeToString())
        except TooCostlyError:
            return engine_pb2.ValidateToolResponse(violations=[_too_costly("")])
        return engine_pb2.ValidateToolResponse.FromString(answer)

    async def validate_value(self, request: engine_pb2.ValidateValueRequest) -> engine_pb2.ValidateValueResponse:
        """Returns every problem of a value."""
        try:
            answer = await self._validate(operations.VALIDATE_VALUE, request.SerializeToString())
        except TooCostlyError:
            return engine_pb2.ValidateValueResponse(violations=[_too_costly("")])
        return engine_pb2.ValidateValueResponse.FromString(answer)

    async def simulate_run(self, request: engine_pb2.SimulateRunRequest) -> engine_pb2.SimulateRunResponse:
        """Simulates a run; cancelling the call ends the simulation."""
        try:
            keys = self._keys.text.encode() if self._keys is not None else b""
            content = b"%b\0%b" % (keys, request.SerializeToString())
            answer = await self._simulations.run(operations.SIMULATE_RUN, content, SIMULATION_SECONDS, REQUEST_PATIENCE)
        except TooCostlyError:
            warning = f"the simulation stopped after {SIMULATION_SECONDS:g} s of computing"
            return engine_pb2.SimulateRunResponse(state="RUNNING", end_us=request.start.now_us, warnings=[warning])
        return engine_pb2.SimulateRunResponse.FromString(answer)

    async def close(self) -> None:
        """Ends every process."""
        for pool in (self._values, self._validations, self._simulations):
            await pool.close()

    async def _validate(self, operation: int, request: bytes) -> bytes:
        return await self._validations.run(operation, request, VALIDATION_SECONDS, REQUEST_PATIENCE)


def _too_costly(field: str) -> Violation:
    return Violation(
        field=field,
        message=f"its check takes longer than {VALIDATION_SECONDS:g} s of CPU time; simplify schemas and expressions",
        reason=ErrorReason.TOO_LARGE,
    )
