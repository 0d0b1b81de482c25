"""Calls are logged, validated, and answered in JSON."""

import json
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from examples.morning_briefing.registration import as_tool
from examples.morning_briefing.tool_server import Call, CallLog, Offer, RejectedError, respond
from ordinaut.v1.tool_pb2 import Tool

SCHEMA = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}


def shout(call: Call) -> dict[str, str]:
    if call.input["word"] == "whisper":
        raise RejectedError("not that")
    return {"word": str(call.input["word"]).upper()}


OFFER = Offer("voice.shout", "Shouts a word.", "READ", SCHEMA, SCHEMA, shout)


def test_a_call_is_served_and_logged_with_its_key(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    assert respond(OFFER, CallLog(log), b'{"word": "hey"}', "k/1") == (200, {"word": "HEY"})
    (line,) = log.read_text().splitlines()
    entry = json.loads(line)
    assert (entry["tool"], entry["key"], entry["input"]) == ("voice.shout", "k/1", {"word": "hey"})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"hey", "must be JSON"),
        (b"[]", "not of type 'object'"),
        (b"{}", "'word' is a required property"),
        (b'{"word": 7}', "$.word: 7 is not of type 'string'"),
        (b'{"word": "whisper"}', "not that"),
    ],
)
def test_invalid_input_is_a_400_with_the_reason(body: bytes, problem: str) -> None:
    status, answer = respond(OFFER, CallLog(None), body, "")
    assert status == 400
    assert problem in answer["error"]


def test_a_tool_is_registered_with_its_schemas_and_address() -> None:
    tool = as_tool(OFFER, "http://127.0.0.1:9000")
    assert (tool.name, tool.effect) == ("tools/voice.shout", Tool.Effect.READ)
    assert (tool.http.method, tool.http.url) == ("POST", "http://127.0.0.1:9000/voice.shout")
    assert MessageToDict(tool.input_schema) == SCHEMA
