"""From bytes to a document: every problem of its shape is noted, and reading goes on."""

from collections.abc import Mapping
from typing import Any

import orjson

from ordinaut.limits import MAX_JSON_BYTES, MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.payload import depth, holds_nul
from pipeline_engine.language.document import VERSION, Document, Step
from pipeline_engine.language.findings import Findings, Place
from pipeline_engine.language.keys import ACCEPTED_DOCUMENT_KEYS, DOCUMENT_ALIASES, refuse_unknown_keys
from pipeline_engine.language.steps import is_step, read_steps
from pipeline_engine.language.values import is_number, read_timeout

MAX_PIPELINE_TIMEOUT_SECONDS = 30 * 86_400.0


def parse(text: bytes, findings: Findings) -> Document | None:
    """Reads a document of at most 1 MiB; None when nothing of it can be used."""
    value = _read_json(text, findings)
    return None if value is None else read_document(value, Place(), findings)


def read_document(value: Any, place: Place, findings: Findings) -> Document | None:
    """Reads a document that is a part of another, or all there is; None when nothing of it can be used."""
    params = None
    if isinstance(value, dict) and isinstance(value.get("payload"), dict) and "steps" not in value:
        value, place = value["payload"], place.key("payload")
        params = value.get("params")
        if "pipeline" in value:
            value, place = value["pipeline"], place.key("pipeline")
    if isinstance(value, list):
        return Document(place, read_steps(value, place, findings), params=params)
    if not isinstance(value, dict):
        findings.problem(place, "a pipeline is an object with `steps`, or a list of steps")
        return None
    return _read_object(value, place, params, findings)


def _read_json(text: bytes, findings: Findings) -> Any:
    if len(text) > MAX_JSON_BYTES:
        findings.problem(Place(), "a pipeline has at most 1 MiB", ErrorReason.TOO_LARGE)
        return None
    try:
        value = orjson.loads(text)
    except ValueError as failure:
        findings.problem(Place(), f"not JSON: {failure}")
        return None
    if depth(value) > MAX_JSON_DEPTH:
        findings.problem(Place(), f"nested deeper than {MAX_JSON_DEPTH} levels", ErrorReason.JSON_TOO_DEEP)
        return None
    if b"\\u0000" in text and holds_nul(value):
        findings.problem(Place(), "a text holds a NUL character", ErrorReason.NUL_CHARACTER)
        return None
    if value is None:
        findings.problem(Place(), "a pipeline is an object with `steps`, or a list of steps")
    return value


def _read_object(value: dict[str, Any], place: Place, params: Any, findings: Findings) -> Document:
    refuse_unknown_keys(value, ACCEPTED_DOCUMENT_KEYS, DOCUMENT_ALIASES, place, findings)
    _check_version(value, place, findings)
    steps: tuple[Step, ...] = ()
    if isinstance(value.get("steps"), list):
        steps = read_steps(value["steps"], place.key("steps"), findings)
    elif "steps" in value:
        findings.problem(place.key("steps"), "a list of steps is expected")
    elif not any(DOCUMENT_ALIASES.get(key) == "steps" for key in value):
        findings.problem(place.key("steps"), "a pipeline has `steps`", ErrorReason.FIELD_REQUIRED)
    handlers: tuple[Step, ...] = ()
    if isinstance(value.get("on_error"), list):
        handlers = read_steps(value["on_error"], place.key("on_error"), findings, 1)
    elif "on_error" in value:
        where = place.key("on_error")
        fix = ("Makes a list of it.", [where.replace([value["on_error"]])]) if is_step(value["on_error"]) else None
        findings.problem(where, "a list of steps is expected", fix=fix)
    return Document(
        place,
        steps,
        on_error=handlers,
        output=value.get("output"),
        has_output="output" in value,
        timeout=read_timeout(value, place, findings, MAX_PIPELINE_TIMEOUT_SECONDS),
        params=params,
    )


def _check_version(value: Mapping[str, Any], place: Place, findings: Findings) -> None:
    version = value.get("version", VERSION)
    if not is_number(version) or version != VERSION:
        where = place.key("version")
        findings.problem(where, "the version is 1", fix=("Writes version 1.", [where.replace(VERSION)]))
