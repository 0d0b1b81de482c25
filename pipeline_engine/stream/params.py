"""Params that nobody has checked before the run began: those of runs that steps of others have started."""

from functools import lru_cache

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import RunStart
from pipeline_engine.data.failure import VALIDATION_INPUT, Failure
from pipeline_engine.data.schemas import Check, compile_schema

SCHEMAS = 256


def refusal(start: RunStart) -> Failure | None:
    """Why the run cannot begin; None when it can, or has begun already."""
    if not start.params_schema or start.journal or start.waits:
        return None
    try:
        check = _compiled(start.params_schema)
    except ValueError as error:
        return Failure(VALIDATION_INPUT, f"the task's params_schema cannot be used: {error}")
    problem = check(orjson.loads(start.params)) if check is not None else None
    return None if problem is None else Failure(VALIDATION_INPUT, f"params: {problem[1]}", pointer=problem[0])


@lru_cache(maxsize=SCHEMAS)
def _compiled(schema: bytes) -> Check | None:
    return compile_schema(orjson.loads(schema))
