"""What an answer may change of what it was asked about."""

from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.approvals.edits import refused_edits, restored

BEFORE = {"to": "all", "text": {"subject": "Hi", "body": "…"}, "copies": [1, 2], "a/b": {"~": 1}, "no": None}
KEYS = st.sampled_from(["a", "b", "x/y", "~"])
VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.5, "", "a", 2**53]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
POINTERS = st.lists(st.sampled_from(["/a", "/b/a", "/x~1y", "/~0", "/a/0", "/b/1"]), max_size=3)


def refused(after: Any, *editable: str, before: Any = BEFORE) -> list[str]:
    return [violation.field for violation in refused_edits(before, after, editable, "e")]


@pytest.mark.parametrize(
    ("change", "editable", "expected"),
    [
        ({}, (), []),
        ({"to": "you"}, (), ["e.to"]),
        ({"to": "you"}, ("/to",), []),
        ({"to": "you"}, ("",), []),
        ({"to": "you"}, ("/t",), ["e.to"]),
        ({"new": 1}, ("/to",), ["e.new"]),
        ({"new": 1}, ("/new",), []),
        ({"text": {"subject": "Ho", "body": "…"}}, ("/text/subject",), []),
        ({"text": {"subject": "Hi"}}, ("/text/subject",), ["e.text.body"]),
        ({"copies": [1, 3]}, ("/copies/1",), []),
        ({"copies": [1]}, ("/copies/1",), ["e.copies"]),
        ({"copies": [True, 2]}, (), ["e.copies[0]"]),
        ({"a/b": {"~": 2}}, ("/a~1b/~0",), []),
        ({"no": False}, (), ["e.no"]),
    ],
)
def test_only_editable_parts_may_change(change: dict[str, Any], editable: tuple[str, ...], expected: list[str]) -> None:
    assert refused({**BEFORE, **change}, *editable) == expected


def test_an_omitted_key_is_a_change() -> None:
    assert refused({key: item for key, item in BEFORE.items() if key != "no"}) == ["e.no"]


@given(before=VALUES, after=VALUES, editable=POINTERS)
def test_repairs_undo_exactly_the_refused_changes(before: Any, after: Any, editable: list[str]) -> None:
    """After them nothing is refused; what was allowed stays."""
    violations = refused_edits(before, after, editable, "e")
    request = {"e": after}
    for violation in violations:
        assert violation.repair is not None
        request = jsonpatch.apply_patch(request, list(violation.repair.operations))
    assert not refused_edits(before, request["e"], editable, "e")
    if not violations:
        assert request["e"] == after


@given(value=VALUES)
def test_unchanged_values_are_never_refused(value: Any) -> None:
    assert not refused_edits(value, value, [], "e")


def test_unchanged_long_integers_are_restored() -> None:
    """Callers see them as texts, because JSON numbers would lose their digits."""
    before = {"id": 2**53 + 1, "ids": [2**60, 5], "text": "9007199254740993"}
    shown = {"id": str(2**53 + 1), "ids": [str(2**60), 5], "text": "x"}
    assert restored(before, shown) == {**before, "text": "x"}
    assert restored(before, {"id": "7", "ids": ["1", 5, 6]}) == {"id": "7", "ids": ["1", 5, 6]}
