"""The parts of the client that need no connection: fixes, durations, retry policy, arguments."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordinaut.cli.__main__ import globals_first
from ordinaut.client import ApiError, Fix
from ordinaut.client.errors import PatchError
from ordinaut.client.retry import RetryPolicy
from ordinaut.documents.durations import proto_duration

REQUEST = {"task": {"steps": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "a/b": 1, "m~n": 2}}


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "replace", "path": "/task/steps/1/id", "value": "x"}, {"id": "x"}),
        ({"op": "add", "path": "/task/steps/1", "value": 5}, 5),
        ({"op": "remove", "path": "/task/steps/1"}, {"id": "c"}),
        ({"op": "add", "path": "/task/steps/1/with", "value": {}}, {"id": "b", "with": {}}),
    ],
)
def test_operations_change_a_copy(operation: dict[str, Any], expected: Any) -> None:
    before = repr(REQUEST)
    assert Fix("", "", [operation]).apply(REQUEST)["task"]["steps"][1] == expected
    assert repr(REQUEST) == before


def test_pointers_are_unescaped_and_a_minus_appends() -> None:
    operations: list[dict[str, Any]] = [
        {"op": "remove", "path": "/task/a~1b"},
        {"op": "replace", "path": "/task/m~0n", "value": 3},
        {"op": "add", "path": "/task/steps/-", "value": 4},
        {"op": "move", "from": "/task/steps/0/id", "path": "/task/steps/0/name"},
    ]
    patched = Fix("", "", operations).apply(REQUEST)["task"]
    assert "a/b" not in patched
    assert (patched["m~n"], patched["steps"][-1], patched["steps"][0]) == (3, 4, {"name": "a"})


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/nowhere", "value": 1},
        {"op": "remove", "path": "/task/steps/3"},
        {"op": "remove", "path": "/task/steps/-"},
        {"op": "remove", "path": "/task/steps/01"},
        {"op": "add", "path": "/task/steps/4", "value": 1},
        {"op": "add", "path": "/task/steps/0/id/x", "value": 1},
        {"op": "move", "path": "/task", "from": "/x"},
        {"op": "remove", "path": "task"},
    ],
)
def test_a_patch_of_another_document_is_rejected(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchError):
        Fix("", "", [operation]).apply(REQUEST)


@given(removed=st.permutations([0, 1, 2]))
def test_fixes_of_one_list_do_not_shift_indices(removed: list[int]) -> None:
    steps = [
        Fix("", f"task.steps[{place}]", [{"op": "remove", "path": f"/task/steps/{place}"}]) for place in removed[:2]
    ]
    error = ApiError("INVALID_ARGUMENT", "", fixes=steps)
    assert error.apply_fixes(REQUEST)["task"]["steps"] == [REQUEST["task"]["steps"][removed[2]]]  # type: ignore[index]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("90s", "90s"),
        ("5m", "300s"),
        ("1h30m", "5400s"),
        ("7d", "604800s"),
        ("1w", "604800s"),
        ("500ms", "0.5s"),
        ("PT1H", "3600s"),
        ("P1DT0.5S", "86400.5s"),
        ("-5s", "-5s"),
        ("0s", "0s"),
        ("100s", "100s"),
    ],
)
def test_durations_are_parsed(written: str, read: str) -> None:
    assert proto_duration(written) == read


@pytest.mark.parametrize("text", ["", "5", "5x", "P", "PT", "P1Y", "1h-", " 5s", "5s\n", "\u0665s", "1e3s", "1h 30m"])
def test_other_text_is_not_a_duration(text: str) -> None:
    assert proto_duration(text) is None


@given(seconds=st.integers(0, 10**9), nanos=st.integers(0, 999_999_999))
def test_the_proto_form_keeps_its_value(seconds: int, nanos: int) -> None:
    read = proto_duration(f"{seconds}.{nanos:09d}s")
    assert read is not None
    whole, _, fraction = read.removesuffix("s").partition(".")
    assert (int(whole), int(fraction.ljust(9, "0") or 0)) == (seconds, nanos)


@given(tries=st.integers(0, 10_000))
def test_delays_grow_to_a_maximum_and_respect_retry_after(tries: int) -> None:
    patience = RetryPolicy()
    assert 0 < patience.delay(tries, None) <= patience.max_delay
    assert patience.delay(tries, 30.0) == 30.0


@pytest.mark.parametrize(
    ("given_arguments", "expected"),
    [
        (["task", "list", "--json"], ["--json", "task", "list"]),
        (["task", "get", "a", "--token", "t", "--address=h:1"], ["--token", "t", "--address=h:1", "task", "get", "a"]),
        (["task", "get", "--", "--json"], ["task", "get", "--", "--json"]),
        (["whoami", "--token"], ["--token", "whoami"]),
    ],
)
def test_global_options_are_accepted_anywhere(given_arguments: list[str], expected: list[str]) -> None:
    assert globals_first(given_arguments) == expected
