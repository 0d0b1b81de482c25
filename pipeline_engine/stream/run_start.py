"""Prepares a run that a worker has sent: compiles its definition and checks params that were not checked before."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import orjson

from ordinaut.clock import Clock
from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, RunStart
from ordinaut.limits import MAX_STEP_OUTPUTS_BYTES
from pipeline_engine.data.data_keys import DataKeyError, DataKeys
from pipeline_engine.data.failure import DENIED, VALIDATION_INPUT, Failure
from pipeline_engine.data.schemas import Check, compile_schema
from pipeline_engine.data.sealer import Sealer
from pipeline_engine.interpreter.executor import Execution
from pipeline_engine.interpreter.requests import CheckPort, CheckValue, ToolPort
from pipeline_engine.interpreter.sealed_execution import EntrySealer, SealedExecution, has_sealed_results
from pipeline_engine.language.compile import PlanError
from pipeline_engine.language.plan import Plan
from pipeline_engine.stream.plan_cache import PlanCache
from pipeline_engine.tools.definition import Tool

MAX_SCHEMAS = 256


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What all streams of an engine share.

    `fraction` returns a number in [0, 1) for a key. `outputs_max_bytes` limits all outputs of one run together. `hold`
    returns the seconds until a tool may be called again. `keys` encrypt sensitive values.
    """

    plans: PlanCache
    tools: ToolPort
    checks: CheckPort
    clock: Clock
    fraction: Callable[[str], float]
    outputs_max_bytes: int = MAX_STEP_OUTPUTS_BYTES
    hold: Callable[[Tool], float] = lambda _tool: 0.0
    keys: DataKeys | None = None


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
    if plan.sensitive or has_sealed_results(start):
        return _sealed_execution(plan, start, definition.project, context, params_check)
    return Execution(
        plan,
        start,
        context.clock,
        context.fraction,
        outputs_max_bytes=context.outputs_max_bytes,
        hold=context.hold,
        params_check=params_check,
    )


def _sealed_execution(
    plan: Plan, start: RunStart, project: str, context: EngineContext, params_check: CheckValue | None
) -> Execution | Failure:
    if context.keys is None:
        return _no_key("the tools of the run have sensitive values, and this engine does not have a data key")
    sealer = EntrySealer(Sealer(context.keys, project), plan.sensitive)
    try:
        opened = sealer.open_start(start)
    except DataKeyError as error:
        return _no_key(f"the journal of the run cannot be read: {error}")
    return SealedExecution(
        sealer,
        plan,
        opened,
        context.clock,
        context.fraction,
        outputs_max_bytes=context.outputs_max_bytes,
        hold=context.hold,
        params_check=params_check,
    )


def _no_key(message: str) -> Failure:
    return Failure(DENIED, message, details={"reason": "DATA_KEY_UNAVAILABLE"})


def _params_check(start: RunStart) -> CheckValue | None:
    """Returns the check of the params of a child run, which come from another run's step; None after a segment."""
    if not start.params_schema or start.journal or start.waits:
        return None
    check = _compiled(start.params_schema)
    return CheckValue(check, start.params) if check is not None else None


@lru_cache(maxsize=MAX_SCHEMAS)
def _compiled(schema: bytes) -> Check | None:
    return compile_schema(orjson.loads(schema))
