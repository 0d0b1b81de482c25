"""Compares a recorded run with its replay, attempt by attempt; differences are JSON Patches."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jsonpatch

from gateway.api.json_values import fill_struct, parse
from ordinaut.documents.numbers import is_exact
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, SimulateRunResponse
from ordinaut.limits import EXACT_INTEGER
from ordinaut.v1.replay_pb2 import StepComparison

ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
RUNNING = "RUNNING"
EXTERNAL_CODES = frozenset({"LOST_TOO_OFTEN", "START_DEADLINE"})  # errors that a replay cannot reproduce
LARGE = 32 * 1024
"""Characters of JSON above which a changed value is replaced as a whole."""
Patch = list[dict[str, Any]]


class End(NamedTuple):
    """The end of a run; output and error are JSON."""

    state: str
    output: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The steps in the order of the replay, then those that it did not reach, and the ends."""

    steps: list[StepComparison]
    end: StepComparison.Outcome.ValueType
    end_difference: Patch

    @property
    def same(self) -> bool:
        """Whether run and replay are equal; a replay of a truncated record may continue until a result is missing."""
        accepted = {StepComparison.SAME, StepComparison.COPIED}
        if self.end == StepComparison.NOT_REACHED:
            accepted |= {StepComparison.ADDED, StepComparison.UNANSWERED}
        elif self.end != StepComparison.SAME:
            return False
        return all(step.outcome in accepted for step in self.steps)


def compare(
    ended: End, inherited: Sequence[JournalEntry], recorded: Sequence[JournalEntry], replay: SimulateRunResponse
) -> Comparison:
    """Compares; `inherited` entries were in the journal of both before they started."""
    end, difference = _end(ended, replay)
    return Comparison([*_inherited(inherited), *_steps(recorded, replay)], end, difference)


def fill_patch(operations: Any, patch: Patch) -> None:
    """Copies operations into an empty repeated Struct."""
    for operation in patch:
        fill_struct(operations.add(), operation)


def _inherited(entries: Sequence[JournalEntry]) -> Iterator[StepComparison]:
    for entry in entries:
        yield StepComparison(path=entry.path, attempt=entry.attempt, outcome=StepComparison.COPIED)


def _steps(recorded: Sequence[JournalEntry], replay: SimulateRunResponse) -> Iterator[StepComparison]:
    remaining = {(entry.path, entry.attempt): entry for entry in recorded}
    for entry in replay.steps:
        before = remaining.pop((entry.path, entry.attempt), None)
        if before is None and entry.state == RUNNING:
            yield _compared(entry, StepComparison.UNANSWERED, _difference({}, _plain(entry)))
        elif before is None:
            yield StepComparison(path=entry.path, attempt=entry.attempt, outcome=StepComparison.ADDED)
        else:
            yield _compared(entry, StepComparison.SAME, _difference(_plain(before), _plain(entry)))
    for entry in replay.unanswered:
        before = remaining.pop((entry.path, entry.attempt), None)
        yield _compared(entry, StepComparison.UNANSWERED, _difference(_plain(before) if before else {}, _plain(entry)))
    for entry in remaining.values():
        yield StepComparison(path=entry.path, attempt=entry.attempt, outcome=StepComparison.NOT_REACHED)


def _compared(entry: JournalEntry, outcome_if_equal: StepComparison.Outcome.ValueType, patch: Patch) -> StepComparison:
    outcome = StepComparison.DIFFERENT if patch and outcome_if_equal == StepComparison.SAME else outcome_if_equal
    comparison = StepComparison(path=entry.path, attempt=entry.attempt, outcome=outcome)
    fill_patch(comparison.difference, patch)
    return comparison


def _end(ended: End, replay: SimulateRunResponse) -> tuple[StepComparison.Outcome.ValueType, Patch]:
    before = _filled(state=ended.state, output=ended.output, error=ended.error)
    after = _filled(state=replay.state, output=replay.output.decode(), error=replay.error.decode())
    if replay.state not in ENDED and (
        ended.state == "CANCELLED" or before.get("error", {}).get("code") in EXTERNAL_CODES
    ):
        return StepComparison.NOT_REACHED, []
    patch = _difference(before, after)
    return (StepComparison.DIFFERENT if patch else StepComparison.SAME), patch


def _plain(entry: JournalEntry) -> dict[str, Any]:
    return _filled(
        state=entry.state, input=entry.input.decode(), output=entry.output.decode(), error=entry.error.decode()
    )


def _filled(state: str, **texts: str | None) -> dict[str, Any]:
    """Returns plain data without missing values; null counts as missing."""
    values = {key: _with_integers(parse(text)) for key, text in texts.items() if text}
    return {"state": state, **{key: value for key, value in values.items() if value is not None}}


def _with_integers(value: Any) -> Any:
    """Gives equal numbers one type: 1.0 equals 1, and 1e23 the integer as which PostgreSQL writes it."""
    match value:
        case dict():
            return {key: _with_integers(item) for key, item in value.items()}
        case list():
            return [_with_integers(item) for item in value]
        case float() if value.is_integer() and abs(value) < EXACT_INTEGER:
            return int(value)
        case int() if abs(value) >= EXACT_INTEGER and is_exact(value):
            return float(value)
    return value


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Patch:
    """Returns the operations from one to the other; large values are replaced as a whole."""
    patch: Patch = []
    for key in dict.fromkeys((*before, *after)):
        old, new = ({key: side[key]} if key in side else {} for side in (before, after))
        texts = [json.dumps(side, sort_keys=True) for side in (old, new)]
        if texts[0] == texts[1]:
            continue
        if old and new and max(map(len, texts)) > LARGE:
            patch.append({"op": "replace", "path": f"/{key}", "value": new[key]})
        else:
            patch.extend(jsonpatch.make_patch(old, new))
    return patch
