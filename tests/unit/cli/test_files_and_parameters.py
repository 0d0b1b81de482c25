"""Values from files and options keep what was written."""

from pathlib import Path
from typing import Any

import pytest

from ordinaut.cli.files import documents
from ordinaut.cli.parameters import parse_message, parse_pairs
from ordinaut.client.document import DocumentError
from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.tool_pb2 import Tool


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2027", 2027),
        ("-2.5", -2.5),
        ("0", 0),
        ("true", True),
        ("null", None),
        ('"3"', "3"),
        ('{"a": 1.10}', {"a": 1.1}),
        ("", ""),
        *((text, text) for text in ("1.10", "1.0", "01234", "1e3", "12e5", "-0", " 1", "1_000", "0x1F", "NaN")),
        *((text, text) for text in ("Infinity", "-Infinity", "+1", ".5", "1.", "9" * 400, "{", "a=b", "1.50")),
    ],
)
def test_a_parameter_is_json_if_nothing_is_lost(text: str, value: Any) -> None:
    """Otherwise it is text."""
    assert parse_pairs([f"k={text}"]) == {"k": value}


def test_a_long_integer_is_refused_rather_than_rounded() -> None:
    """As text in quotes it is accepted."""
    value = parse_pairs(["k=9007199254740993"])["k"]
    with pytest.raises(Exception, match="put it in quotes"):
        parse_message({"value": value}, StateEntry(), "entry")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("text", [b'{"a": 1}', b"a: 1\n", b"a: 1\n---\n"])
def test_a_byte_order_mark_before_a_file_is_skipped(tmp_path: Path, mark: bytes, text: bytes) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(mark + text)
    assert documents(str(path)) == [{"a": 1}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfea\x00", "UTF-16"),
        (b"a: \xff", "not UTF-8"),
        (b"a: &x 1\nb: *x", "aliases"),
        (b"[" * 100, "nested"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(data)
    with pytest.raises(DocumentError, match=message) as caught:
        documents(str(path))
    assert caught.value.problems[0].path == str(path)


@pytest.mark.parametrize(
    "text", ['{"value": {"a": 1, "a": 2}}', "value: 1\nvalue: 2", '{"value": NaN}', "value: .nan", "value: 1e999"]
)
def test_what_json_cannot_carry_is_a_problem_of_its_field(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    (document,) = documents(str(path))
    with pytest.raises(Exception, match="value"):
        parse_message(document, StateEntry(), "")


@pytest.mark.parametrize("digits", ["9223372036854775807", "-9223372036854775808", str(2**70), "1e300", "3"])
@pytest.mark.parametrize("form", ['{{"{field}": {{"maximum": {digits}}}}}', "{field}: {{maximum: {digits}}}"])
def test_bounds_in_schemas_may_be_rounded(tmp_path: Path, digits: str, form: str) -> None:
    """In JSON and YAML; in values they are refused."""
    path = tmp_path / "file.yaml"
    for message, field in ((Tool, "input_schema"), (Tool, "output_schema"), (Task, "params_schema")):
        path.write_text(form.format(field=field, digits=digits))
        (document,) = documents(str(path))
        schema = getattr(parse_message(document, message(), ""), field)
        assert schema["maximum"] == float(digits)
    path.write_text(form.format(field="params", digits=digits))
    (document,) = documents(str(path))
    if digits in {"1e300", "3"}:
        assert parse_message(document, Task(), "").params["maximum"] == float(digits)
    else:
        with pytest.raises(Exception, match="put it in quotes"):
            parse_message(document, Task(), "")
