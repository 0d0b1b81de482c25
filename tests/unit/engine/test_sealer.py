"""Which values of a run are sensitive, and that encryption is undone exactly."""

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordinaut.json_places import place_of
from ordinaut.sensitive import MASK, PREFIX, masked
from pipeline_engine.data.data_keys import DataKeyError, DataKeys
from pipeline_engine.data.sealer import Sealer

KEYS = DataKeys.generated()
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def sealer(keys: DataKeys = KEYS) -> Sealer:
    return Sealer(keys, "default")


@given(JSON, JSON)
def test_another_engine_restores_a_document_exactly(document: Any, value: Any) -> None:
    one = sealer()
    one.learn(value)
    sealed = one.seal({"a": document, "b": value}, [("a",), ("b",)])
    assert sealer().open(sealed) == {"a": document, "b": value}


@pytest.mark.parametrize(
    ("value", "document", "hidden"),
    [
        ("s3cret-token", "Bearer s3cret-token", f"Bearer {MASK}"),
        ("s3cret token", "q=s3cret%20token&t=s3cret+token", f"q={MASK}&t={MASK}"),
        ("s3cret-token", {"s3cret-token": 1}, {MASK: 1}),
        (4111111111111111, {"n": 4111111111111111, "t": "card 4111111111111111"}, {"n": MASK, "t": f"card {MASK}"}),
        ("4111111111111111", 4111111111111111, MASK),
        ("123", ["123", 123, "1234", "pin 123"], [MASK, MASK, "1234", "pin 123"]),
        ("x", ["x", "xx"], [MASK, "xx"]),
        ({"a": ["in-an-object"], "b": True}, ["in-an-object", True], [MASK, True]),
        ("", ["", "a"], ["", "a"]),
        (None, [None], [None]),
    ],
)
def test_a_value_is_recognised_where_it_appears_again(value: Any, document: Any, hidden: Any) -> None:
    one = sealer()
    one.learn(value)
    assert one.mask(document) == hidden
    assert sealer().open(one.seal(document)) == document


@pytest.mark.parametrize(
    ("pointers", "document", "hidden"),
    [
        (["/a"], {"a": None, "b": 1}, {"a": MASK, "b": 1}),
        (["/a", "/a/b"], {"a": {"b": 1}}, {"a": MASK}),
        (["/a/b", "/a"], {"a": {"b": 1}}, {"a": MASK}),
        (["/*/b", "/a/b"], {"a": {"b": True}, "c": [{"b": 2}]}, {"a": {"b": MASK}, "c": [{"b": 2}]}),
        (["/*/*/b"], {"a": [{"b": True}, {"c": False}]}, {"a": [{"b": MASK}, {"c": False}]}),
        (["/1"], [True, False], [True, MASK]),
        (["/a~1b~0"], {"a/b~": True}, {"a/b~": MASK}),
        (["/x/y", "/a/b/c"], {"a": {"b": True}}, {"a": {"b": True}}),
        ([""], {"a": True}, MASK),
    ],
)
def test_a_place_is_hidden(pointers: list[str], document: Any, hidden: Any) -> None:
    one = sealer()
    sealed = one.seal(document, [place_of(pointer) for pointer in pointers])
    assert _masked(sealed) == hidden
    assert sealer().open(sealed) == document


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return masked(value) if isinstance(value, str) else value


def test_a_text_that_looks_encrypted_is_only_a_text() -> None:
    """A tool cannot have its output decrypted by writing it in this form."""
    foreign = KEYS.seal(b'"of another run"', "default")
    sealed = sealer().seal({"echo": foreign})
    assert foreign not in str(sealed)
    assert sealer().open(sealed) == {"echo": foreign}


def test_equal_values_are_equal_in_a_run_and_differ_between_runs() -> None:
    one = sealer()
    first, second = one.seal(["abc", "abc"], [("*",)])
    assert first == second
    assert sealer().seal(["abc"], [("*",)]) != [first]
    again = sealer()
    assert again.open(first) == "abc"
    assert again.seal("abc") == first, "a replay of the run compares equal"


def test_another_project_cannot_decrypt() -> None:
    sealed = sealer().seal("value", [()])
    with pytest.raises(DataKeyError):
        Sealer(KEYS, "other").open(sealed)


def test_keys_are_rotated(tmp_path: Path) -> None:
    path = tmp_path / "data.key"
    old, new = "old " + "A" * 43 + "=", "new " + "B" * 42 + "A="
    path.write_text(f"{old}\n")
    before = sealer(DataKeys.read(path)).seal("value", [()])
    path.write_text(f"{new}\n{old}\n")
    both = DataKeys.read(path)
    assert sealer(both).open(before) == "value"
    assert sealer(both).seal("value", [()]).startswith(f"{PREFIX}new:")
    path.write_text(f"{new}\n")
    with pytest.raises(DataKeyError, match="does not have the data key old"):
        sealer(DataKeys.read(path)).open(before)


@pytest.mark.parametrize(
    "text", ["", "id", "id AAAA", "id !", "a b " + "A" * 43 + "=", f"a {'A' * 43}=\na {'A' * 43}="]
)
def test_a_malformed_key_file_is_refused_without_its_content(tmp_path: Path, text: str) -> None:
    path = tmp_path / "data.key"
    path.write_text(text)
    with pytest.raises(DataKeyError) as refused:
        DataKeys.read(path)
    assert "AAAA" not in str(refused.value)


def test_many_values_are_recognised_in_a_short_time() -> None:
    """The engine's event loop waits meanwhile: 1 MiB of other texts takes a fraction of a second of CPU time."""
    one = sealer()
    one.learn([f"value-{number:05}" for number in range(5_000)])
    assert one.mask(["value-00001", "x value-00001"]) == [MASK, f"x {MASK}"]
    assert one.mask(["value-04999", "x value-04999"]) == [MASK, "x value-04999"], "the limit of the values in texts"
    document = [f"{number:06} other text, and value-00007 of {number}"[:50] for number in range(20_000)]
    began = time.process_time()
    hidden = one.mask(document)
    assert time.process_time() - began < 2.0
    assert hidden[0] == f"000000 other text, and {MASK} of 0"


def test_values_that_are_costly_to_find_hide_whole_texts() -> None:
    """A thousand lengths after one start, in a text that consists of the start."""
    one = sealer()
    one.learn(["a" * length for length in range(10, 1_010)])
    began = time.process_time()
    assert one.mask(["a" * 500_000, "b" * 500_000]) == [MASK, "b" * 500_000]
    assert time.process_time() - began < 2.0
