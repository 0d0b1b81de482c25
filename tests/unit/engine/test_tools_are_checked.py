"""The validation of tools for registration."""

from typing import Any

import orjson
import pytest

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from ordinaut.v1.error_pb2 import ErrorReason
from pipeline_engine.data.schema_dialects import VALIDATORS, is_checked_format
from pipeline_engine.data.schemas import problems_of
from pipeline_engine.tools.checks.registration import tool_violations, tool_warnings
from pipeline_engine.validation.validate import validate_tool
from tests.unit.engine.pipelines import CALENDAR, TOOLS


def fields(**changes: Any) -> dict[str, str]:
    """Returns reasons by field for a valid tool with changes."""
    tool = {**CALENDAR, **changes}
    answer = validate_tool(pb.ValidateToolRequest(tool=orjson.dumps(tool)))
    return {violation.field: ErrorReason.Name(violation.reason) for violation in answer.violations}


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: str(tool["name"]))
def test_valid_tools_are_accepted(tool: dict[str, Any]) -> None:
    """The built-in tools and an HTTP tool."""
    assert not validate_tool(pb.ValidateToolRequest(tool=orjson.dumps(tool))).violations


@pytest.mark.parametrize(
    "url",
    [
        "https://user:pw@host/",
        "http://host#@evil/",
        "http://host\\@evil/",
        "http://ho\tst/",
        "http://аpple.com/",  # noqa: RUF001 - a Cyrillic letter on purpose
        "http://host:22/",
        "http://host:6379/",
        "http://host:5432/",
        "http://host:0/",
        "http://host:99999/",
        "file:///etc/passwd",
        "ftp://host/",
        "//host/",
        "http:///x",
        "http://${params.host}/",
        "http://[::1/",
        "http://h/ x",
        "http://h/\r\nX: y",
        "",
        None,
        7,
    ],
)
def test_invalid_urls_are_rejected(url: Any) -> None:
    assert fields(http={"url": url}) == {"http.url": "INVALID_TRANSPORT"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"authorization": "x"},
        {"Content-Length": "1"},
        {"X-A": "b\r\nc"},
        {"X A": "b"},
        {"X": 1},
        {"X": "é"},
    ],
)
def test_invalid_headers_are_rejected(headers: dict[str, Any]) -> None:
    """Headers that the transport sets, and values that could inject a header."""
    found = fields(http={"url": "http://host/", "headers": headers})
    assert found == {f"http.headers.{next(iter(headers))}": "INVALID_TRANSPORT"}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1/x"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"$ref": "other.json"}}},
        {"$ref": "#/nowhere"},
        {"type": "strin"},
        {"pattern": "("},
        {"pattern": "(a+)+(?=x)"},
        {"enum": ["x" * 10] * 10_000},
        {"$schema": "http://json-schema.org/draft-03/schema#"},
    ],
)
def test_invalid_schemas_are_rejected(schema: dict[str, Any]) -> None:
    """Remote references, invalid keywords, large schemas, and patterns that need backtracking."""
    assert set(fields(input_schema=schema).values()) == {"INVALID_SCHEMA"}


@pytest.mark.parametrize("draft", [f"http://json-schema.org/draft-0{number}/schema#" for number in (4, 6, 7)])
@pytest.mark.parametrize("mark", ["", "#"])
def test_earlier_drafts_are_supported(draft: str, mark: str) -> None:
    """In the spellings that are in use; MCP servers send draft 7."""
    schema = {
        "$schema": draft.rstrip("#") + mark,
        "type": "object",
        "properties": {"a": {"$ref": "#/definitions/b"}},
        "definitions": {"b": {"items": [{"type": "string"}], "additionalItems": False}},
    }
    assert fields(input_schema=schema) == {}
    assert problems_of(schema, {"a": ["x"]}) == []
    assert [where for where, _ in problems_of(schema, {"a": ["x", "y"]})] == ["/a"]


def test_a_draft_decides_what_a_keyword_means() -> None:
    bounded = {"maximum": 5, "exclusiveMaximum": True}
    assert fields(input_schema=bounded) == {"input_schema.exclusiveMaximum": "INVALID_SCHEMA"}
    draft_4 = {"$schema": "http://json-schema.org/draft-04/schema#", **bounded}
    assert fields(input_schema=draft_4) == {}
    assert problems_of(draft_4, 5)
    mixed = {"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}
    assert fields(input_schema=mixed) == {"input_schema.properties.a.$schema": "INVALID_SCHEMA"}


@pytest.mark.parametrize(
    ("pattern", "accepted", "refused"),
    [(r"^\p{L}+$", "Žluťoučký", "a1"), (r"^(?<year>\d{4})$", "2027", "27"), (r"^[\u0041-\u0043]$", "B", "D")],
)
def test_patterns_are_those_of_json_schema(pattern: str, accepted: str, refused: str) -> None:
    """Which differ from those of Python."""
    assert fields(input_schema={"pattern": pattern}) == {}
    assert problems_of({"pattern": pattern}, accepted) == []
    assert problems_of({"pattern": pattern}, refused)


@pytest.mark.parametrize(
    "pattern", ["(" * 1000 + "a" + ")" * 1000, "^(?=a)", r"(a)\1", "a{1,100000}", "(", "[[" * 5000]
)
@pytest.mark.parametrize("place", ["pattern", "patternProperties"])
def test_patterns_without_a_bounded_cost_are_refused(pattern: str, place: str) -> None:
    schema = {place: pattern if place == "pattern" else {pattern: {}}}
    found = tool_violations({**CALENDAR, "input_schema": schema})
    assert [violation.reason for violation in found] == [ErrorReason.INVALID_SCHEMA]
    assert "without lookaround" in found[0].message or "at most 512 characters" in found[0].message


@pytest.mark.parametrize("keyword", ["default", "const", "enum", "examples", "x-source"])
def test_data_in_a_schema_is_not_a_reference(keyword: str) -> None:
    """Except in a property that has the name of the keyword."""
    data: Any = {"$ref": "http://example.com/x", "$schema": "http://example.com/y"}
    value = [data] if keyword in {"enum", "examples"} else data
    assert fields(input_schema={keyword: value}) == {}
    assert fields(input_schema={"properties": {keyword: {"$ref": "http://example.com/x"}}}) == {
        f"input_schema.properties.{keyword}.$ref": "INVALID_SCHEMA"
    }


@pytest.mark.parametrize(
    ("name", "value"), [("email", "nobody"), ("date", "2027-02-30"), ("date-time", "yesterday"), ("ipv4", "1.2.3")]
)
@pytest.mark.parametrize("dialect", [*VALIDATORS])
def test_formats_are_checked(name: str, value: str, dialect: str) -> None:
    """In every draft that has them."""
    expected = [] if not is_checked_format(dialect, name) else [""]
    assert [where for where, _ in problems_of({"$schema": dialect, "format": name}, value)] == expected
    assert expected or (dialect, name) == ("http://json-schema.org/draft-04/schema", "date")


def test_warnings_name_what_is_not_checked_and_what_is_rounded() -> None:
    schema = {"properties": {"n": {"format": "int64", "maximum": 2.0**63}, "d": {"format": "date"}}}
    assert fields(input_schema=schema) == {}
    first, second = sorted(tool_warnings({**CALENDAR, "input_schema": schema}))
    assert first.startswith("input_schema.properties.n.format: the format 'int64' is not checked")
    assert second.startswith("input_schema.properties.n.maximum: numbers from 2^53 on")


def test_name_transport_and_timeout_are_validated() -> None:
    assert fields(name="Bad Name") == {"name": "NAME_INVALID"}
    assert fields(name="orchestrator.mine") == {"name": "RESERVED"}
    assert fields(http=None) == {"http": "FIELD_REQUIRED"}
    assert fields(timeouts={"run": "2d"}) == {"timeouts.run": "FIELD_INVALID"}
    assert fields(http={"url": "http://h/", "method": "TRACE"}) == {"http.method": "INVALID_TRANSPORT"}


@pytest.mark.parametrize(
    ("lookup", "effect", "found"),
    [
        ({"uses": "mail.find"}, "UNSAFE", {}),
        ({"uses": "mail.find", "arguments": {"k": ["${input.to}", "${step}", {"at": "${start_time}"}]}}, "UNSAFE", {}),
        ({"uses": "mail.find"}, "IDEMPOTENT", {"lookup": "FIELD_INVALID"}),
        ({"uses": "mail.find"}, None, {"lookup": "FIELD_INVALID"}),
        ({}, "UNSAFE", {"lookup.uses": "FIELD_REQUIRED"}),
        ({"uses": 7}, "UNSAFE", {"lookup.uses": "FIELD_REQUIRED"}),
        ({"uses": "no tool"}, "UNSAFE", {"lookup.uses": "NAME_INVALID"}),
        ({"uses": "orchestrator.get_state"}, "UNSAFE", {"lookup.uses": "FIELD_INVALID"}),
        ({"uses": "mail.find", "arguments": []}, "UNSAFE", {"lookup.arguments": "FIELD_INVALID"}),
        (
            {"uses": "mail.find", "arguments": {"a": "${steps.x}"}},
            "UNSAFE",
            {"lookup.arguments": "UNRESOLVED_REFERENCE"},
        ),
        ({"uses": "mail.find", "arguments": {"a": "${now}"}}, "UNSAFE", {"lookup.arguments": "UNRESOLVED_REFERENCE"}),
        ({"uses": "mail.find", "arguments": {"a": "${"}}, "UNSAFE", {"lookup.arguments": "TEMPLATE_SYNTAX"}),
        ({"uses": "mail.find", "arguments": {"a": "x" * 65_536}}, "UNSAFE", {"lookup.arguments": "TOO_LARGE"}),
        ([], "UNSAFE", {"lookup": "FIELD_INVALID"}),
    ],
)
def test_lookups_are_validated(lookup: Any, effect: str | None, found: dict[str, str]) -> None:
    """Only UNSAFE tools have one; its templates refer to the call only."""
    assert fields(lookup=lookup, effect=effect) == found


@pytest.mark.parametrize(
    ("auth", "found"),
    [
        ({"bearer": {"secret": "mail_key"}}, {}),
        ({"basic": {"user": "ann", "secret": "mail_key"}}, {}),
        ({"basic": {"secret": "mail_key"}}, {}),
        ({"header": {"name": "X-Api-Key", "secret": "mail_key"}}, {}),
        ({"header": {"name": "Authorization", "secret": "mail_key"}}, {}),
        ({}, {"http.auth": "FIELD_REQUIRED"}),
        ({"digest": {"secret": "x"}}, {"http.auth": "FIELD_REQUIRED"}),
        ({"bearer": {}}, {"http.auth.bearer.secret": "NAME_INVALID"}),
        ({"bearer": {"secret": "eyJhbGciOi.J9"}}, {"http.auth.bearer.secret": "NAME_INVALID"}),
        ({"basic": {"user": "a:b", "secret": "x"}}, {"http.auth.basic.user": "INVALID_TRANSPORT"}),
        ({"basic": {"user": "ä", "secret": "x"}}, {"http.auth.basic.user": "INVALID_TRANSPORT"}),
        ({"header": {"secret": "x"}}, {"http.auth.header.name": "INVALID_TRANSPORT"}),
        ({"header": {"name": "X A", "secret": "x"}}, {"http.auth.header.name": "INVALID_TRANSPORT"}),
        ({"header": {"name": "Host", "secret": "x"}}, {"http.auth.header.name": "INVALID_TRANSPORT"}),
        ({"header": {"name": "x-team", "secret": "x"}}, {"http.auth.header.name": "INVALID_TRANSPORT"}),
    ],
)
def test_auth_is_validated(auth: dict[str, Any], found: dict[str, str]) -> None:
    """It contains the name of a secret, and its header must not be set elsewhere."""
    assert fields(http={"url": "http://host/", "headers": {"X-Team": "blue"}, "auth": auth}) == found


def test_a_value_instead_of_a_secrets_name_is_not_quoted() -> None:
    """Errors are logged and displayed."""
    tool = {**CALENDAR, "http": {"url": "http://host/", "auth": {"bearer": {"secret": "CANARY-4711"}}}}
    answer = validate_tool(pb.ValidateToolRequest(tool=orjson.dumps(tool)))
    assert answer.violations
    assert b"CANARY" not in answer.SerializeToString()


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://h/users/{user}", True),
        ("https://h/x?q={q}&r={r}", True),
        ("https://h?q={q}", True),
        ("https://{host}/x", False),
        ("https://h:{port}/x", False),
        ("{scheme}://h/x", False),
        ("https://h/{user", False),
        ("https://h/user}", False),
        ("https://h/{}", False),
        ("https://h/{a b}", False),
        ("https://h/{{user}}", False),
        ("https://h/${user}", False),
    ],
)
def test_placeholders_are_names_in_the_path_or_query(url: str, accepted: bool) -> None:
    expected = {} if accepted else {"http.url": "INVALID_TRANSPORT"}
    assert fields(http={"url": url}) == expected


def test_a_placeholder_without_a_required_property_is_a_warning() -> None:
    schema = {"type": "object", "required": ["a"]}
    tool = {**CALENDAR, "http": {"url": "https://h/{a}/{b}?c={b}"}, "input_schema": schema}
    assert [warning.partition(" is not")[0] for warning in tool_warnings(tool)] == ["http.url: `{b}`"]


def test_the_content_type_is_json_or_a_form() -> None:
    for accepted in ("application/json", "application/x-www-form-urlencoded", ""):
        assert fields(http={"url": "http://h/", "content_type": accepted}) == {}
    for refused in ("text/plain", "multipart/form-data", 5):
        assert fields(http={"url": "http://h/", "content_type": refused}) == {"http.content_type": "INVALID_TRANSPORT"}
