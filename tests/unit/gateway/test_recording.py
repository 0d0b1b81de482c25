"""What is recorded of a change: patches in both directions, without secrets."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.recording.changes import PATCH_MAX, document, patches
from gateway.recording.masking import masked
from ordinaut.v1.agent_pb2 import AgentToken
from ordinaut.v1.tool_pb2 import Tool

TOKEN = f"ord1_{'a' * 16}_{'B' * 49}"
values = st.recursive(
    st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def merged(target: Any, patch: Any) -> Any:
    """MergePatch of RFC 7396 section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(documents, documents)
def test_the_patches_lead_in_both_directions(before: dict[str, Any], after: dict[str, Any]) -> None:
    undo, repeat = patches(before, after)
    assert merged(before, repeat) == after
    assert merged(after, undo) == before


@given(documents)
def test_what_does_not_change_is_not_in_the_patches(same: dict[str, Any]) -> None:
    assert patches(same, same) == ({}, {})


def test_a_large_patch_is_hashed() -> None:
    undo, repeat = patches({"a": "x"}, {"a": "y" * PATCH_MAX})
    assert undo == {"a": "x"}
    assert repeat["bytes"] > PATCH_MAX
    assert len(repeat["sha256"]) == 64


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"password": "p"}, {"password": "***"}),
        ({"DB_PASSWORD": "p"}, {"DB_PASSWORD": "***"}),
        ({"x": [{"apiKey": "k"}]}, {"x": [{"apiKey": "***"}]}),
        ({"tokens": ["a", "b"]}, {"tokens": ["***", "***"]}),
        ({"credentials": {"user": "u"}}, {"credentials": {"user": "***"}}),
        ({"max_tokens": 100, "secret": None, "token": ""}, {"max_tokens": 100, "secret": None, "token": ""}),
        ({"authorization": "Bearer ${secrets.mail_key}"}, {"authorization": "Bearer ${secrets.mail_key}"}),
        ({"authorization": "Bearer ${secrets.mail_key}, abc"}, {"authorization": "***"}),
        ({"text": f"use {TOKEN} or ord_{'0' * 16}_{'f' * 64}!"}, {"text": "use *** or ***!"}),
        ({"header": "Bearer abcdefghij"}, {"header": "Bearer ***"}),
        ({"url": "postgres://me:pw@host/x?y=a@b"}, {"url": "postgres://***@host/x?y=a@b"}),
        ({TOKEN: 1}, {"***": 1}),
        ({"text": "a\0b"}, {"text": "a\ufffdb"}),
        (
            {"http": {"auth": {"bearer": {"secret": "mail_key"}}}},
            {"http": {"auth": {"bearer": {"secret": "mail_key"}}}},
        ),
        ({"params": {"auth": {"secret": "s3cret"}}}, {"params": {"auth": {"secret": "***"}}}),
    ],
)
def test_secrets_are_masked(value: Any, expected: Any) -> None:
    assert masked(value) == expected


def test_messages_are_recorded_without_derived_fields() -> None:
    token = AgentToken(name="agents/a/tokens/t", secret=TOKEN, scopes=["secrets:use"])
    assert document(token) == {"name": "agents/a/tokens/t", "secret": "***", "scopes": ["secrets:use"]}
    assert document(Tool(name="tools/a", etag='"1"', warnings=["w"])) == {"name": "tools/a"}
