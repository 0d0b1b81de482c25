"""Names, scopes and keys."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordinaut.names import DOTTED, RESOURCE_ID, SCOPE, covers, granted, idempotency_key, occurrence_id, split_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tasks/briefing", "briefing"),
        ("tasks/", None),
        ("task/briefing", None),
        ("tasks/a/b", None),
        ("briefing", None),
        ("", None),
    ],
)
def test_a_resource_name_is_a_collection_and_an_id(name: str, expected: str | None) -> None:
    assert split_name(name, "tasks") == expected


@pytest.mark.parametrize("text", ["a", "a-1", "a" * 63])
def test_resource_ids(text: str) -> None:
    assert RESOURCE_ID.fullmatch(text)


@pytest.mark.parametrize("text", ["", "A", "1a", "a_b", "a" * 64, "a\n", "ä", "a/b", "a.b"])
def test_invalid_resource_ids(text: str) -> None:
    assert not RESOURCE_ID.fullmatch(text)


@pytest.mark.parametrize("text", ["mail", "mail.send", "weather.fore_cast-2"])
def test_dotted_names(text: str) -> None:
    assert DOTTED.fullmatch(text)


@pytest.mark.parametrize("text", ["", ".", "mail.", ".mail", "mail..send", "mail.*", "mail send", "mail.send\n"])
def test_invalid_dotted_names(text: str) -> None:
    assert not DOTTED.fullmatch(text)


@pytest.mark.parametrize(
    "scope", ["admin", "tasks:read", "approvals:write:brief*", "tools:call", "tools:call:mail.*", "state:write:brief*"]
)
def test_scopes(scope: str) -> None:
    assert SCOPE.fullmatch(scope)


@pytest.mark.parametrize("scope", ["", "root", "tasks", "tasks:call", "tools:call:", "tasks:read:a b"])
def test_invalid_scopes(scope: str) -> None:
    assert not SCOPE.fullmatch(scope)


@pytest.mark.parametrize(
    ("scopes", "needed", "resource", "expected"),
    [
        ({"admin"}, "tools:call", "mail.send", True),
        ({"tools:call"}, "tools:call", "mail.send", True),
        ({"tools:call:mail.*"}, "tools:call", "mail.send", True),
        ({"tools:call:mail.*"}, "tools:call", "weather.get", False),
        ({"tools:call:mail.*"}, "tools:call", None, True),
        ({"tools:call:mail.*"}, "tools:call", "*", False),
        ({"tools:call:*"}, "tools:call", "*", True),
        ({"tools:read"}, "tools:call", None, False),
        (set(), "tools:call", None, False),
    ],
)
def test_a_scope_grants(scopes: set[str], needed: str, resource: str | None, *, expected: bool) -> None:
    assert granted(frozenset(scopes), needed, resource) is expected


@pytest.mark.parametrize(
    ("holder", "scope", "expected"),
    [
        ({"admin"}, "admin", True),
        ({"tasks:read"}, "admin", False),
        ({"tasks:read"}, "tasks:read", True),
        ({"tasks:read"}, "tasks:write", False),
        ({"tools:call"}, "tools:call:mail.*", True),
        ({"tools:call:mail.*"}, "tools:call:mail.send", True),
        ({"tools:call:mail.*"}, "tools:call:weather.*", False),
        ({"tools:call:mail.*"}, "tools:call", False),
    ],
)
def test_a_holder_grants_at_most_its_own_scopes(holder: set[str], scope: str, *, expected: bool) -> None:
    assert covers(frozenset(holder), scope) is expected


def test_an_occurrence_is_named_by_its_utc_instant_or_its_key() -> None:
    moment = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert occurrence_id("3/cron:20261025T033000~2", moment) == "20261025T003000Z"
    assert occurrence_id("event:6f1c", None) == "event-6f1c"


@given(st.text(min_size=1, max_size=400), st.text(min_size=1, max_size=400))
def test_an_idempotency_key_is_bounded_and_unique_for_a_step(root: str, path: str) -> None:
    key = idempotency_key(root, path)
    assert len(key) <= 255
    assert key == idempotency_key(root, path)
    assert key != idempotency_key(root, path + "x")
