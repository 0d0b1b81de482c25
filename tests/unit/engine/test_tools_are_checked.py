"""The validation of tools for registration."""

from typing import Any

import orjson
import pytest

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from ordinaut.v1.error_pb2 import ErrorReason
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
        {"$schema": "http://json-schema.org/draft-07/schema#"},
    ],
)
def test_invalid_schemas_are_rejected(schema: dict[str, Any]) -> None:
    """Remote references, invalid keywords, large schemas, and patterns that need backtracking."""
    assert set(fields(input_schema=schema).values()) == {"INVALID_SCHEMA"}


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
