"""Tools and documents for the engine's tests."""

from importlib import resources
from typing import Any

import orjson

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from pipeline_engine.validation.validate import validate_pipeline

BUILT_IN: list[dict[str, Any]] = orjson.loads(
    resources.files("ordinaut.store").joinpath("builtin_tools.json").read_bytes()
)
CALENDAR = {
    "name": "calendar.list_events",
    "input_schema": {
        "type": "object",
        "properties": {
            "start": {"type": "string"},
            "limit": {"type": "integer", "minimum": 1},
            "order": {"enum": ["newest", "oldest"]},
            "labels": {"type": "array", "items": {"type": "string"}},
            "all": {"type": "boolean"},
        },
        "required": ["start"],
        "additionalProperties": False,
    },
    "output_schema": {"type": "object", "required": ["events"]},
    "effect": "READ",
    "http": {"method": "POST", "url": "http://127.0.0.1:1/events"},
}
WEATHER = {
    "name": "weather.forecast",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "http": {"method": "GET", "url": "http://127.0.0.1:1/weather"},
}
TOOLS = [*BUILT_IN, CALENDAR, WEATHER]
TOOL_TEXTS = [orjson.dumps(tool) for tool in TOOLS]


def checked(
    document: Any, *, params: Any = None, params_schema: Any = None, tools: list[bytes] | None = None
) -> pb.ValidatePipelineResponse:
    """Validates a document."""
    request = pb.ValidatePipelineRequest(
        pipeline=document if isinstance(document, bytes) else orjson.dumps(document),
        tools=TOOL_TEXTS if tools is None else tools,
        tool_names=[tool["name"] for tool in TOOLS],
        params=b"" if params is None else orjson.dumps(params),
        params_schema=b"" if params_schema is None else orjson.dumps(params_schema),
    )
    return validate_pipeline(request)


def step(step_id: str, uses: str = "orchestrator.set", **modifiers: Any) -> dict[str, Any]:
    """Returns a step; `input` and `condition` are the keys `with` and `if`."""
    keys = {"input": "with", "condition": "if"}
    return {"id": step_id, "uses": uses, **{keys.get(key, key): value for key, value in modifiers.items()}}


def pipeline(*steps: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """Returns a document."""
    return {"version": 1, "steps": list(steps), **rest}
