"""From bytes to a document: every problem of its shape is noted, and reading goes on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ordinaut.expressions.bounds import MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.language.document import MAX_STEPS, VERSION, Document, RetryRule, Step
from pipeline_engine.language.findings import Findings, Place
from pipeline_engine.language.keys import (
    ACCEPTED_DOCUMENT_KEYS,
    ACCEPTED_STEP_KEYS,
    DOCUMENT_ALIASES,
    STEP_ALIASES,
    refuse_unknown_keys,
)
from pipeline_engine.language.values import (
    MAX_RETRIES,
    MAX_TIMEOUT_SECONDS,
    is_number,
    made_name,
    read_name,
    read_retry,
    read_seconds,
    read_text,
    read_whole,
)
from pipeline_engine.payload import MAX_BYTES, depth

MAX_PIPELINE_TIMEOUT_SECONDS = 30 * 86_400.0
MAX_HANDLER_DEPTH = 4


def parse(text: bytes, findings: Findings) -> Document | None:
    """Reads a document of at most 1 MiB; None when nothing of it can be used."""
    value = _read_json(text, findings)
    if value is None:
        return None
    place, params = Place(), None
    if isinstance(value, dict) and isinstance(value.get("payload"), dict) and "steps" not in value:
        value, place = value["payload"], place.key("payload")
        params = value.get("params")
    if place.field and isinstance(value, dict) and "pipeline" in value:
        value, place = value["pipeline"], place.key("pipeline")
    if isinstance(value, list):
        return Document(place, _read_steps(value, place, "", findings), params=params)
    if not isinstance(value, dict):
        findings.problem(place, "a pipeline is an object with `steps`, or a list of steps")
        return None
    return _read_document(value, place, params, findings)


def _read_json(text: bytes, findings: Findings) -> Any:
    if len(text) > MAX_BYTES:
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
    if value is None:
        findings.problem(Place(), "a pipeline is an object with `steps`, or a list of steps")
    return value


def _read_document(value: dict[str, Any], place: Place, params: Any, findings: Findings) -> Document:
    refuse_unknown_keys(value, ACCEPTED_DOCUMENT_KEYS, DOCUMENT_ALIASES, place, findings)
    _check_version(value, place, findings)
    steps: tuple[Step, ...] = ()
    if isinstance(value.get("steps"), list):
        steps = _read_steps(value["steps"], place.key("steps"), "", findings)
    elif "steps" in value:
        findings.problem(place.key("steps"), "a list of steps is expected")
    elif not any(DOCUMENT_ALIASES.get(key) == "steps" for key in value):
        findings.problem(place.key("steps"), "a pipeline has `steps`", ErrorReason.FIELD_REQUIRED)
    handlers: tuple[Step, ...] = ()
    if isinstance(value.get("on_error"), list):
        handlers = _read_steps(value["on_error"], place.key("on_error"), "on_error.", findings)
    elif "on_error" in value:
        findings.problem(place.key("on_error"), "a list of steps is expected")
    return Document(
        place,
        steps,
        on_error=handlers,
        output=value.get("output"),
        has_output="output" in value,
        timeout=_read_timeout(value, place, findings, MAX_PIPELINE_TIMEOUT_SECONDS),
        params=params,
    )


def _check_version(value: Mapping[str, Any], place: Place, findings: Findings) -> None:
    version = value.get("version", VERSION)
    if not is_number(version) or version != VERSION:
        where = place.key("version")
        findings.problem(where, "the version is 1", fix=("Writes version 1.", [where.replace(VERSION)]))


def _read_timeout(value: Mapping[str, Any], place: Place, findings: Findings, bound: float) -> float | None:
    if "timeout" in value:
        return read_seconds(value["timeout"], place.key("timeout"), findings, bound)
    if "timeout_seconds" not in value:
        return None
    seconds = value["timeout_seconds"]
    if is_number(seconds) and 0 < seconds <= bound:
        return float(seconds)
    findings.problem(place.key("timeout_seconds"), f"a number greater than 0, at most {bound:g}, is expected")
    return None


def _read_steps(values: list[Any], place: Place, prefix: str, findings: Findings, level: int = 0) -> tuple[Step, ...]:
    if not values:
        findings.problem(place, "at least one step is expected", ErrorReason.FIELD_REQUIRED)
    if len(values) > MAX_STEPS:
        findings.problem(place, f"a pipeline has at most {MAX_STEPS} steps", ErrorReason.TOO_MANY_STEPS)
        return ()
    found = (_StepReader(place.item(index), prefix, findings, level) for index in range(len(values)))
    steps = [reader.read(value, index) for index, (reader, value) in enumerate(zip(found, values, strict=True))]
    return tuple(step for step in steps if step is not None)


@dataclass(frozen=True, slots=True)
class _StepReader:
    """Reads one step; `level` counts the handlers around it."""

    place: Place
    prefix: str
    findings: Findings
    level: int

    def read(self, value: Any, index: int) -> Step | None:
        """The step; None when it is no object."""
        if not isinstance(value, dict):
            self.findings.problem(self.place, "a step is an object with `id` and `uses`")
            return None
        refuse_unknown_keys(value, ACCEPTED_STEP_KEYS, STEP_ALIASES, self.place, self.findings)
        step_id = self._id(value, index)
        path = self.prefix + step_id
        return Step(
            id=step_id,
            path=path,
            place=self.place,
            uses=self._uses(value),
            input=self._input(value),
            condition=self._condition(value),
            save_as=self._save_as(value),
            retry=self._retry(value),
            timeout=_read_timeout(value, self.place, self.findings, MAX_TIMEOUT_SECONDS),
            on_error=self._on_error(value, path),
            name=read_text(value["name"], 200, self.place.key("name"), self.findings) if "name" in value else None,
        )

    def _id(self, value: Mapping[str, Any], index: int) -> str:
        fallback = f"step_{index + 1}"
        if "id" in value:
            return read_name(value["id"], self.place.key("id"), self.findings, fallback) or f"?{self.place.field}"
        if not any(STEP_ALIASES.get(key) == "id" for key in value):
            made = made_name(str(value.get("name") or str(value.get("uses", "")).rpartition(".")[2])) or fallback
            where = self.place.key("id")
            self.findings.problem(
                where, "a step has an `id`", ErrorReason.FIELD_REQUIRED, (f"Calls it `{made}`.", [where.add(made)])
            )
        return f"?{self.place.field}"

    def _uses(self, value: Mapping[str, Any]) -> str:
        uses = value.get("uses")
        if isinstance(uses, str) and uses:
            return uses
        if "uses" in value:
            self.findings.problem(self.place.key("uses"), "the name of a tool is expected")
        elif not any(STEP_ALIASES.get(key) == "uses" for key in value):
            self.findings.problem(self.place.key("uses"), "a step names its tool in `uses`", ErrorReason.FIELD_REQUIRED)
        return ""

    def _input(self, value: Mapping[str, Any]) -> Any:
        given = value.get("with", {})
        if isinstance(given, dict) or (isinstance(given, str) and given.strip().startswith("${")):
            return given
        where = self.place.key("with")
        fix = ("Takes it away.", [where.remove()]) if given is None or given == [] else None
        self.findings.problem(where, "an object is expected", fix=fix)
        return {}

    def _condition(self, value: Mapping[str, Any]) -> str | bool | None:
        condition = value.get("if")
        if condition is None or isinstance(condition, str | bool):
            return condition
        self.findings.problem(self.place.key("if"), "an expression is expected, as text")
        return None

    def _save_as(self, value: Mapping[str, Any]) -> str | None:
        if value.get("save_as") is None:
            return None
        return read_name(value["save_as"], self.place.key("save_as"), self.findings, "saved")

    def _retry(self, value: Mapping[str, Any]) -> RetryRule | None:
        if "retry" in value:
            return read_retry(value["retry"], self.place.key("retry"), self.findings)
        if "max_retries" not in value:
            return None
        count = read_whole(value["max_retries"], 0, MAX_RETRIES, self.place.key("max_retries"), self.findings)
        return None if count is None else RetryRule(count)

    def _on_error(self, value: Mapping[str, Any], path: str) -> tuple[Step, ...] | str:
        choice = value.get("on_error", "fail")
        where = self.place.key("on_error")
        if isinstance(choice, list) and self.level < MAX_HANDLER_DEPTH:
            return _read_steps(choice, where, f"{path}.on_error.", self.findings, self.level + 1)
        if choice in ("fail", "continue"):
            return str(choice)
        alias = {"ignore": "continue", "skip": "continue", "stop": "fail", "abort": "fail"}.get(str(choice).lower())
        fix = (f"Writes `{alias}`.", [where.replace(alias)]) if alias else None
        self.findings.problem(where, "`fail`, `continue` or a list of steps is expected", fix=fix)
        return "fail"
