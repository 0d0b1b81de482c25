"""Checks values against schemas and suggests repairs.

Of a `with`, only literal parts are checked: the value of a template is not known before the run.
"""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from ordinaut.documents.misspelled import misspelled
from ordinaut.limits import EXACT_INTEGER
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.schemas import Error, accepts_everything, errors_of
from pipeline_engine.language.findings import Findings, Operation, Place

STRUCTURAL = frozenset({"required", "additionalProperties", "unevaluatedProperties", "minProperties", "maxProperties"})
"""Keywords that constrain an object's keys, not its values."""
INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,15})")
DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{0,5}[1-9])?")
Fix = tuple[str, list[Operation]]


def check_input(value: Any, schema: Any, place: Place, tool: str, findings: Findings) -> None:
    """Reports each part of the input that the tool would reject for any value of the templates."""
    if accepts_everything(schema) or not isinstance(value, dict):
        return
    try:
        errors = errors_of(schema, value)
    except ValueError as failure:
        findings.problem(place, f"the input_schema of {tool} is invalid: {failure}", ErrorReason.INVALID_SCHEMA)
        return
    for error in errors:
        part = value_at(value, error.path)
        if error.keyword not in STRUCTURAL and not is_literal(part):
            continue
        where = place_of(place, error.path)
        findings.problem(
            where,
            f"does not match the input_schema of {tool}: {error.message}",
            ErrorReason.TOOL_INPUT_INVALID,
            repair(error, part, where, schema),
        )


def is_literal(value: Any) -> bool:
    """Whether a value contains no template."""
    if isinstance(value, str):
        return "${" not in value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(is_literal(part) for part in parts)


def value_at(value: Any, path: Sequence[str | int]) -> Any:
    """Returns the part of a value at a path."""
    for key in path:
        value = value[key]
    return value


def place_of(place: Place, path: Sequence[str | int]) -> Place:
    """Returns the place at a path below another place."""
    for key in path:
        place = place.item(key) if isinstance(key, int) else place.key(key)
    return place


def repair(error: Error, part: Any, where: Place, schema: Any) -> Fix | None:
    """Returns the repair of a rejected part; None when it is uncertain."""
    if error.keyword == "additionalProperties" and isinstance(part, dict):
        return _rename_key(error, part, where, schema)
    if error.keyword == "type":
        return _retype(error, part, where)
    if error.keyword == "enum" and isinstance(part, str) and isinstance(error.expected, list):
        near = misspelled(part, [choice for choice in error.expected if isinstance(choice, str)])
        return (f"Replaces it by `{near}`.", [where.replace(near)]) if near else None
    return None


def _rename_key(error: Error, part: dict[str, Any], where: Place, schema: Any) -> Fix | None:
    if error.path or not isinstance(schema, dict):
        return None
    candidates = [name for name in schema.get("properties", {}) if name not in part]
    operations: list[Operation] = []
    for key in part:
        if key in schema.get("properties", {}):
            continue
        near = misspelled(key, candidates)
        if near is None:
            return None
        candidates.remove(near)
        operations.append(where.key(near).move_from(where.key(key)))
    return ("Renames it to a property of the tool's schema.", operations) if operations else None


def _retype(error: Error, part: Any, where: Place) -> Fix | None:
    expected = error.expected if isinstance(error.expected, list) else [error.expected]
    if isinstance(part, str):
        number = _number(part, expected)
        if number is not None:
            return "Removes the quotes.", [where.replace(number)]
        if part in {"true", "false"} and "boolean" in expected:
            return "Removes the quotes.", [where.replace(part == "true")]
    if "string" in expected and isinstance(part, int | float) and not isinstance(part, bool):
        return "Makes it a string.", [where.replace(orjson.dumps(part).decode().removesuffix(".0"))]
    if "array" in expected and not isinstance(part, list | dict):
        return "Makes it a list.", [where.replace([part])]
    return None


def _number(text: str, expected: Sequence[Any]) -> float | None:
    """The number that a text writes exactly, without characters that it would lose, such as the zero of `0123`."""
    if "integer" in expected and INTEGER.fullmatch(text) and abs(int(text)) < EXACT_INTEGER:
        return int(text)
    return float(text) if "number" in expected and DECIMAL.fullmatch(text) else None
