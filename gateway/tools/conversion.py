"""Converts tools between the stored definition and the API message."""

from collections.abc import Sequence

import orjson
from google.protobuf import json_format

from gateway.api.field_masks import etag_of
from gateway.api.json_values import fill_struct, parse
from gateway.api.violations import DESCRIPTION_MAX, Problems, got
from gateway.definitions.run_policy import YEAR_SECONDS, check_retry
from ordinaut.names import DOTTED
from ordinaut.store.tool import ToolRecord
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.tool_pb2 import Tool

SCHEMAS = ("input_schema", "output_schema")
NOT_STORED = ("name", "owner", "etag", "create_time", "update_time", "warnings")
TOOL_ID_MAX = 200


def to_tool(record: ToolRecord, warnings: Sequence[str] = ()) -> Tool:
    """Converts a stored tool."""
    definition = parse(record.definition)
    schemas = {name: definition.pop(name) for name in SCHEMAS if name in definition}
    tool = Tool(warnings=warnings)
    json_format.ParseDict(definition, tool)
    for name, schema in schemas.items():
        fill_struct(getattr(tool, name), schema, rounds=True)
    tool.name = f"tools/{record.name}"
    tool.owner = record.owner
    tool.etag = etag_of(record.revision)
    tool.create_time.FromDatetime(record.create_time)
    tool.update_time.FromDatetime(record.update_time)
    return tool


def to_definition(tool: Tool, name: str) -> str:
    """Returns the definition to store: proto3 JSON with proto field names, `name` without `tools/`."""
    stored = Tool()
    stored.CopyFrom(tool)
    for field in NOT_STORED:
        stored.ClearField(field)  # type: ignore[arg-type]  # all are fields of Tool
    definition = json_format.MessageToDict(stored, preserving_proto_field_name=True)
    return orjson.dumps({"name": name, **definition}).decode()


def check_tool(problems: Problems, tool: Tool, name: str, field: str) -> None:
    """Adds the violations of a tool, except those of its schemas and transport, which an engine validates."""
    if not DOTTED.fullmatch(name) or len(name) > TOOL_ID_MAX:
        form = (
            f"words of `[a-z][a-z0-9_-]*` joined by dots, at most {TOOL_ID_MAX} characters, such as `weather.forecast`"
        )
        problems.add(field, f"must be {form} {got(name)}", ErrorReason.NAME_INVALID)
    problems.text("tool.description", tool.description, DESCRIPTION_MAX, lines=True)
    if tool.timeouts.HasField("run"):
        problems.duration("tool.timeouts.run", tool.timeouts.run, YEAR_SECONDS)
    if tool.HasField("retry"):
        check_retry(problems, tool.retry, "tool.retry")
    if tool.WhichOneof("transport") is None:
        problems.add("tool", "requires a transport: set `http`", ErrorReason.FIELD_REQUIRED)
