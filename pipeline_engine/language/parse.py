"""Parses bytes into a document. A problem of its shape is collected and parsing continues, so that all are reported."""

from collections.abc import Mapping
from typing import Any

import orjson

from ordinaut.limits import MAX_JSON_BYTES, MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.describe import kind_of, quoted
from pipeline_engine.data.payload import depth, holds_nul
from pipeline_engine.language.document import VERSION, Document, Step
from pipeline_engine.language.findings import Findings, Place
from pipeline_engine.language.keys import ACCEPTED_DOCUMENT_KEYS, DOCUMENT_ALIASES, refuse_unknown_keys
from pipeline_engine.language.steps import is_step, read_steps
from pipeline_engine.language.values import is_number, read_deadline, read_timeout

MAX_PIPELINE_TIMEOUT_SECONDS = 30 * 86_400.0
NOT_A_PIPELINE = "a pipeline must be an object with `steps`, or a list of steps"


def parse(text: bytes, findings: Findings) -> Document | None:
    """Parses a document of at most 1 MiB; None when it is unusable."""
    findings.source = text.decode(errors="replace")
    value = _read_json(text, findings)
    return None if value is None else read_document(value, Place(), findings)


def read_document(value: Any, place: Place, findings: Findings) -> Document | None:
    """Reads a document at `place`, which may be inside another one; None when it is unusable."""
    params = None
    if isinstance(value, dict) and isinstance(value.get("payload"), dict) and "steps" not in value:
        value, place = value["payload"], place.key("payload")
        params = value.get("params")
        if "pipeline" in value:
            value, place = value["pipeline"], place.key("pipeline")
    if isinstance(value, list):
        return Document(place, read_steps(value, place, findings), params=params)
    if not isinstance(value, dict):
        findings.problem(place, NOT_A_PIPELINE)
        return None
    return _read_object(value, place, params, findings)


def _read_json(text: bytes, findings: Findings) -> Any:
    if len(text) > MAX_JSON_BYTES:
        findings.problem(Place(), f"a pipeline must be at most 1 MiB (got {len(text)} bytes)", ErrorReason.TOO_LARGE)
        return None
    try:
        value = orjson.loads(text)
    except ValueError as failure:
        findings.problem(Place(), f"the pipeline is not valid JSON: {failure}")
        return None
    if depth(value) > MAX_JSON_DEPTH:
        message = f"a pipeline must be nested at most {MAX_JSON_DEPTH} levels deep"
        findings.problem(Place(), message, ErrorReason.JSON_TOO_DEEP)
        return None
    if b"\\u0000" in text and holds_nul(value):
        findings.problem(Place(), "the pipeline contains a NUL character", ErrorReason.NUL_CHARACTER)
        return None
    if value is None:
        findings.problem(Place(), NOT_A_PIPELINE)
    return value


def _read_object(value: dict[str, Any], place: Place, params: Any, findings: Findings) -> Document:
    refuse_unknown_keys(value, ACCEPTED_DOCUMENT_KEYS, DOCUMENT_ALIASES, place, findings)
    _check_version(value, place, findings)
    steps: tuple[Step, ...] = ()
    if isinstance(value.get("steps"), list):
        steps = read_steps(value["steps"], place.key("steps"), findings)
    elif "steps" in value:
        findings.problem(place.key("steps"), f"`steps` must be a list of steps, not {kind_of(value['steps'])}")
    elif not any(DOCUMENT_ALIASES.get(key) == "steps" for key in value):
        findings.problem(place.key("steps"), "`steps` is required", ErrorReason.FIELD_REQUIRED)
    deadline = read_deadline(value["deadline"], place.key("deadline"), findings) if "deadline" in value else None
    return Document(
        place,
        steps,
        on_error=_read_list(value, "on_error", place, findings),
        output=value.get("output"),
        has_output="output" in value,
        timeout=read_timeout(value, place, findings, MAX_PIPELINE_TIMEOUT_SECONDS),
        params=params,
        deadline=deadline,
        final_steps=_read_list(value, "finally", place, findings),
    )


def _read_list(value: Mapping[str, Any], key: str, place: Place, findings: Findings) -> tuple[Step, ...]:
    """Reads `on_error` or `finally` of a document."""
    if key not in value:
        return ()
    where, steps = place.key(key), value[key]
    if isinstance(steps, list):
        return read_steps(steps, where, findings, 1)
    fix = ("Makes it a list.", [where.replace([steps])]) if is_step(steps) else None
    findings.problem(where, f"`{key}` of a pipeline must be a list of steps, not {kind_of(steps)}", fix=fix)
    return ()


def _check_version(value: Mapping[str, Any], place: Place, findings: Findings) -> None:
    version = value.get("version", VERSION)
    if not is_number(version) or version != VERSION:
        where = place.key("version")
        message = f"`version` must be {VERSION}, not {quoted(version)}"
        findings.problem(where, message, fix=("Sets version 1.", [where.replace(VERSION)]))
