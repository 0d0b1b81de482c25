"""A run beside its replay: what is the same JSON is the same, and what is not comes with a patch."""

import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from gateway.runs.compare import LARGE, Comparison, End, compare
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, SimulateRunResponse
from ordinaut.v1.replay_pb2 import StepComparison

DONE = End("SUCCEEDED")


def entry(path: str = "a", attempt: int = 1, state: str = "SUCCEEDED", **values: Any) -> JournalEntry:
    texts: dict[str, Any] = {key: json.dumps(value).encode() for key, value in values.items()}
    return JournalEntry(path=path, attempt=attempt, state=state, tool="t.t", **texts)


def compared(recorded: list[JournalEntry], steps: list[JournalEntry], ended: End = DONE, **replay: Any) -> Comparison:
    return compare(ended, [], recorded, SimulateRunResponse(**{"state": "SUCCEEDED", "steps": steps, **replay}))


def told(comparison: Comparison) -> list[tuple[str, str, list[Any]]]:
    return [
        (step.path, StepComparison.Outcome.Name(step.outcome), [MessageToDict(one) for one in step.difference])
        for step in comparison.steps
    ]


def test_equal_json_is_the_same_in_any_notation() -> None:
    """The store writes 1.0 as it got it and sorts keys."""
    comparison = compared([entry(input={"a": 1.0, "b": [True]})], [entry(input={"b": [True], "a": 1})])
    assert (told(comparison), comparison.same) == ([("a", "SAME", [])], True)


@pytest.mark.parametrize(("one", "other"), [(True, 1), (None, 0), ("1", 1), ([], {}), (2**60, 2**60 + 1)])
def test_different_json_is_different(one: Any, other: Any) -> None:
    comparison = compared([entry(output={"x": one})], [entry(output={"x": other})])
    [(_, outcome, patch)] = told(comparison)
    assert (outcome, patch[0]["op"], patch[0]["path"]) == ("DIFFERENT", "replace", "/output/x")
    assert not comparison.same


def test_null_equals_a_missing_value() -> None:
    """A step without output and one that gave null cannot be told apart in a table."""
    assert compared([entry(output=None)], [entry()]).same


def test_large_values_are_replaced_as_a_whole() -> None:
    """Looking for the parts would take longer than anybody waits."""
    numbers = list(range(LARGE))
    [(_, _, patch)] = told(compared([entry(output=numbers)], [entry(output=numbers[1:])]))
    assert [(one["op"], one["path"]) for one in patch] == [("replace", "/output")]


def test_attempts_of_only_one_run() -> None:
    """Those of the replay first; what began and never ended is not answered."""
    comparison = compared(
        [entry("a"), entry("b", attempt=2)],
        [entry("a"), entry("c"), entry("d", state="RUNNING", input={"x": 1})],
        unanswered=[entry("e", state="WAITING", input={"x": 2})],
    )
    assert [(path, outcome) for path, outcome, _ in told(comparison)] == [
        ("a", "SAME"),
        ("c", "ADDED"),
        ("d", "UNANSWERED"),
        ("e", "UNANSWERED"),
        ("b", "NOT_REACHED"),
    ]
    assert not comparison.same


@pytest.mark.parametrize(
    ("ended", "end", "same"),
    [
        (End("CANCELLED"), "NOT_REACHED", True),
        (End("FAILED", error='{"code": "LOST_TOO_OFTEN"}'), "NOT_REACHED", True),
        (End("FAILED", error='{"code": "TIMEOUT"}'), "DIFFERENT", False),
        (DONE, "DIFFERENT", False),
    ],
)
def test_a_replay_that_lacks_a_result(ended: End, end: str, same: bool) -> None:
    """As far as the record goes, where the run was ended from outside."""
    comparison = compared([], [], ended, state="RUNNING", unanswered=[entry("a", state="RUNNING")])
    assert (StepComparison.Outcome.Name(comparison.end), comparison.same) == (end, same)
