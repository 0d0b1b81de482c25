"""Prepares a run that a worker has sent: compiles its definition and checks params that were not checked before."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import orjson

from ordinaut.clock import Clock
from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, RunStart
from ordinaut.limits import MAX_STEP_OUTPUTS_BYTES
from pipeline_engine.data.failure import VALIDATION_INPUT, Failure
from pipeline_engine.data.schemas import Check, compile_schema
from pipeline_engine.interpreter.executor import Execution
from pipeline_engine.interpreter.requests import CheckPort, CheckValue, ToolPort
from pipeline_engine.language.compile import PlanError
from pipeline_engine.stream.plan_cache import PlanCache
from pipeline_engine.tools.definition import Tool

MAX_SCHEMAS = 256


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What all streams of an engine share.

    `fraction` returns a number in [0, 1) for a key. `outputs_max_bytes` limits all outputs of one run together. `hold`
    returns the seconds until a tool may be called again.
    """

    plans: PlanCache
    tools: ToolPort
    checks: CheckPort
    clock: Clock
    fraction: Callable[[str], float]
    outputs_max_bytes: int = MAX_STEP_OUTPUTS_BYTES
    hold: Callable[[Tool], float] = lambda _tool: 0.0


def prepare(start: RunStart, definition: Definition, context: EngineContext) -> Execution | Failure:
    """Returns the execution of a run, or the failure with which the run ends at once."""
    try:
        plan = context.plans.get(definition)
    except PlanError as error:
        return Failure(VALIDATION_INPUT, f"the pipeline cannot be executed: {error}")
    try:
        params_check = _params_check(start)
    except ValueError as error:
        return Failure(VALIDATION_INPUT, f"the task's params_schema is invalid: {error}")
    return Execution(
        plan,
        start,
        context.clock,
        context.fraction,
        outputs_max_bytes=context.outputs_max_bytes,
        hold=context.hold,
        params_check=params_check,
    )


def _params_check(start: RunStart) -> CheckValue | None:
    """Returns the check of the params of a child run, which come from another run's step; None after a segment."""
    if not start.params_schema or start.journal or start.waits:
        return None
    check = _compiled(start.params_schema)
    return CheckValue(check, start.params) if check is not None else None


@lru_cache(maxsize=MAX_SCHEMAS)
def _compiled(schema: bytes) -> Check | None:
    return compile_schema(orjson.loads(schema))
