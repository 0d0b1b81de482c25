"""A recorded run beside its replay, attempt by attempt: what is the same, what is not, and what makes one the other."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jsonpatch

from gateway.api.json_values import fill_struct, parse
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, SimulateRunResponse
from ordinaut.v1.replay_pb2 import StepComparison

ENDED = frozenset({"SUCCEEDED", "FAILED"})
RUNNING = "RUNNING"
FROM_OUTSIDE = frozenset({"LOST_TOO_OFTEN", "START_DEADLINE"})
LARGE = 32 * 1024
"""Characters of JSON beyond which a difference is not looked for part by part."""
Patch = list[dict[str, Any]]


class End(NamedTuple):
    """How a run has ended; output and error are JSON."""

    state: str
    output: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Steps in the order of the replay, then those that it did not reach; and the ends."""

    steps: list[StepComparison]
    end: StepComparison.Outcome.ValueType
    end_difference: Patch

    @property
    def same(self) -> bool:
        """Whether nothing differs; where the record breaks off, the replay may go on to where it lacks an answer."""
        fine = {StepComparison.SAME, StepComparison.COPIED}
        if self.end == StepComparison.NOT_REACHED:
            fine |= {StepComparison.ADDED, StepComparison.UNANSWERED}
        elif self.end != StepComparison.SAME:
            return False
        return all(step.outcome in fine for step in self.steps)


def compare(
    ended: End, taken: Sequence[JournalEntry], recorded: Sequence[JournalEntry], replay: SimulateRunResponse
) -> Comparison:
    """The comparison; `taken` stood in the journal of both before they began."""
    end, difference = _end(ended, replay)
    return Comparison([*_taken(taken), *_steps(recorded, replay)], end, difference)


def fill_patch(operations: Any, patch: Patch) -> None:
    """Puts operations into an empty repeated Struct."""
    for operation in patch:
        fill_struct(operations.add(), operation)


def _taken(entries: Sequence[JournalEntry]) -> Iterator[StepComparison]:
    for entry in entries:
        yield StepComparison(path=entry.path, attempt=entry.attempt, outcome=StepComparison.COPIED)


def _steps(recorded: Sequence[JournalEntry], replay: SimulateRunResponse) -> Iterator[StepComparison]:
    left = {(entry.path, entry.attempt): entry for entry in recorded}
    for entry in replay.steps:
        before = left.pop((entry.path, entry.attempt), None)
        if before is None and entry.state == RUNNING:
            yield _told(entry, StepComparison.UNANSWERED, _difference({}, _plain(entry)))
        elif before is None:
            yield StepComparison(path=entry.path, attempt=entry.attempt, outcome=StepComparison.ADDED)
        else:
            yield _told(entry, StepComparison.SAME, _difference(_plain(before), _plain(entry)))
    for entry in replay.unanswered:
        before = left.pop((entry.path, entry.attempt), None)
        yield _told(entry, StepComparison.UNANSWERED, _difference(_plain(before) if before else {}, _plain(entry)))
    for entry in left.values():
        yield StepComparison(path=entry.path, attempt=entry.attempt, outcome=StepComparison.NOT_REACHED)


def _told(entry: JournalEntry, otherwise: StepComparison.Outcome.ValueType, patch: Patch) -> StepComparison:
    outcome = StepComparison.DIFFERENT if patch and otherwise == StepComparison.SAME else otherwise
    told = StepComparison(path=entry.path, attempt=entry.attempt, outcome=outcome)
    fill_patch(told.difference, patch)
    return told


def _end(ended: End, replay: SimulateRunResponse) -> tuple[StepComparison.Outcome.ValueType, Patch]:
    before = _filled(state=ended.state, output=ended.output, error=ended.error)
    after = _filled(state=replay.state, output=replay.output.decode(), error=replay.error.decode())
    if replay.state not in ENDED and (
        ended.state == "CANCELLED" or before.get("error", {}).get("code") in FROM_OUTSIDE
    ):
        return StepComparison.NOT_REACHED, []
    patch = _difference(before, after)
    return (StepComparison.DIFFERENT if patch else StepComparison.SAME), patch


def _plain(entry: JournalEntry) -> dict[str, Any]:
    return _filled(
        state=entry.state, input=entry.input.decode(), output=entry.output.decode(), error=entry.error.decode()
    )


def _filled(state: str, **texts: str | None) -> dict[str, Any]:
    """Plain data without what is not there; null is not there either."""
    values = {key: _whole(parse(text)) for key, text in texts.items() if text}
    return {"state": state, **{key: value for key, value in values.items() if value is not None}}


def _whole(value: Any) -> Any:
    """The value with 1 for 1.0: the same JSON, however it was written."""
    match value:
        case dict():
            return {key: _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Patch:
    """Operations from one to the other; what is large is replaced as a whole."""
    patch: Patch = []
    for key in dict.fromkeys((*before, *after)):
        one, other = ({key: side[key]} if key in side else {} for side in (before, after))
        texts = [json.dumps(side, sort_keys=True) for side in (one, other)]
        if texts[0] == texts[1]:
            continue
        if one and other and max(map(len, texts)) > LARGE:
            patch.append({"op": "replace", "path": f"/{key}", "value": other[key]})
        else:
            patch.extend(jsonpatch.make_patch(one, other))
    return patch
