"""JSON and YAML texts: what is read is what was written; what cannot be kept is told, never changed."""

import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordinaut.documents.invalid_value import InvalidValue
from ordinaut.documents.json_text import depth, read_json
from ordinaut.documents.yaml_text import read_yaml
from ordinaut.errors import InvalidArgumentError
from ordinaut.limits import MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason

TEXT = st.text(st.characters(codec="utf-8"))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(value=PLAIN)
def test_json_round_trip(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert read_json(text.encode()) == value


def plain_depth(value: Any) -> int:
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return 1 + max(map(plain_depth, items), default=0)
    return 0


@given(value=PLAIN)
def test_depth_is_counted_without_parsing(value: Any) -> None:
    """Brackets in texts do not count, wherever quotes and backslashes stand."""
    assert depth(json.dumps(value).encode()) == plain_depth(value)
    assert depth(json.dumps([json.dumps(value)]).encode()) == 1


@given(data=st.binary(max_size=200) | st.text('[]{}",:\\ntf1e-.0 ', max_size=200).map(str.encode))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    for read in (read_json, read_yaml):
        with suppress(InvalidArgumentError):
            read(data)


@pytest.mark.parametrize("data", [b"[" * 10**6, b'{"a":' * 10**5, b'"' + b"\\" * 10**6, b'"a' * 10**6, b"[]" * 10**6])
def test_hostile_texts_are_cheap_to_refuse(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        read_json(data)


def test_the_deepest_json() -> None:
    assert read_json(b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH)
    with pytest.raises(InvalidArgumentError, match="nested"):
        read_json(b"[" * (MAX_JSON_DEPTH + 1) + b"]" * (MAX_JSON_DEPTH + 1))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("NaN", ErrorReason.NON_FINITE_NUMBER),
        ("-Infinity", ErrorReason.NON_FINITE_NUMBER),
        ("1e400", ErrorReason.NUMBER_OUT_OF_RANGE),
        ("9" * 311, ErrorReason.NUMBER_OUT_OF_RANGE),
        ("-" + "9" * 5000, ErrorReason.NUMBER_OUT_OF_RANGE),
    ],
)
def test_unrepresentable_values_become_flaws_in_place(text: str, reason: int) -> None:
    found = read_json(f'{{"a": [1, {text}]}}'.encode())["a"][1]
    assert isinstance(found, InvalidValue)
    assert found.reason == reason


def test_the_second_of_two_keys_is_a_flaw() -> None:
    document = read_json(b'{"a": 1, "b": {"c": 1, "c": 1}, "a": 2}')
    assert isinstance(document["a"], InvalidValue)
    assert isinstance(document["b"]["c"], InvalidValue)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: no", {"on": "no"}),
        ("when: 2026-01-31T08:00:00Z", {"when": "2026-01-31T08:00:00Z"}),
        ("day: 2026-01-31", {"day": "2026-01-31"}),
        ("time: 08:30", {"time": "08:30"}),
        ("a: [1, 2.5, null, true, ~, '1']", {"a": [1, 2.5, None, True, None, "1"]}),
        ("a: 0o17", {"a": 15}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ('{"json": ["is", "yaml"]}', {"json": ["is", "yaml"]}),
        ("a: &anchor 1", {"a": 1}),
        ("--- {a: 1}", {"a": 1}),
        ("a: .inf", {"a": math.inf}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: [0, -0, +12, 0x1F, 1.5, .5, 1., 1e3, -1.5E-2]", {"a": [0, 0, 12, 31, 1.5, 0.5, 1.0, 1000.0, -0.015]}),
    ],
)
def test_yaml_is_parsed_as_version_1_2(text: str, value: Any) -> None:
    assert read_yaml(text.encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        *("01234", "0777", "00", "-07", "1_000", "1__0", "1_000.5", "0b11", "-0b1", "0x_1F", "-0x1F", "0o8", "0o_7"),
        *("007.5", "1_0e3", "12:30:45", "1:30", "0b", "1e", "1.2.3", "+", "-.", "2027-01-15", "1,000", "0x1F_"),
        *("yes", "off", "NULL_", "0" * 400),
    ],
)
def test_yaml_that_parsers_read_differently_stays_text(text: str) -> None:
    """As value, in lists and objects, and as key."""
    assert read_yaml(f"a: {text}".encode()) == {"a": text}
    assert read_yaml(f"[{{k: [{text}]}}]".encode()) == [{"k": [text]}] or "," in text
    assert read_yaml(f"{text}: 1".encode()) == {text: 1}


@pytest.mark.parametrize("digits", ["9" * 311, "9" * 5000])
def test_integers_that_are_too_long_become_flaws_in_yaml(digits: str) -> None:
    found = read_yaml(f"a: {digits}".encode())["a"]
    assert isinstance(found, InvalidValue)
    assert found.reason == ErrorReason.NUMBER_OUT_OF_RANGE


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_a_byte_order_mark_is_skipped(read: Any) -> None:
    """That of UTF-8; other encodings are refused by name."""
    assert read(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    for data in ('{"a": 1}'.encode("utf-16"), b"\xfe\xff\x00{"):
        with pytest.raises(InvalidArgumentError, match="UTF-16"):
            read(data)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1]\nb: *x", "a: !!python/object/apply:os.system [ls]", "a: !unknown 1", "a: b: c",
        "\t", "a: [", "a: 1\n---\na: 2", "a: \"\\q\"", "[" * 100, "- " * 100 + "x",
    ],
)  # fmt: skip
def test_yaml_that_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        read_yaml(text.encode())


def test_a_repeated_key_in_yaml_is_reported_with_its_line() -> None:
    """As in JSON, its value is a placeholder, so that the other problems of the document are found as well."""
    document = read_yaml(b"a: 1\nb: {x: 1, x: 2}\na: 3\n")
    assert isinstance(document["a"], InvalidValue)
    assert "line 3" in document["a"].message
    assert isinstance(document["b"]["x"], InvalidValue)
