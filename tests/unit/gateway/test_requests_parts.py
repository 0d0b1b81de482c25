"""Names, topics, page tokens, moved problems and rights: the small rules that every method shares."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import resource_names
from gateway.api.pagination import PageTokens, page_size
from gateway.api.resource_names import topic_pattern
from gateway.api.violations import Problems, reroot
from gateway.authentication.caller import CALLER, Caller
from gateway.definitions.references import callable_names, require_rights, tool_uses
from ordinaut.errors import InvalidArgumentError, PermissionDeniedError
from ordinaut.internal.v1.violation_pb2 import Violation
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.run_service_pb2 import ListRunsRequest
from ordinaut.v1.task_service_pb2 import ListTasksRequest

UID = "01a208f2-7e21-7792-beb8-3ec69593a833"
ADMIN = Caller("default", "admin", frozenset({"admin"}))


def test_resource_names_are_parsed() -> None:
    """Each in its documented form."""
    assert resource_names.task_id("tasks/a-1") == "a-1"
    assert resource_names.task_id(f"tasks/{UID}") == UID
    assert resource_names.run_id(f"runs/{UID}") == UUID(UID)
    assert resource_names.tool_id("tools/a.b_c") == "a.b_c"
    assert resource_names.token_ids("agents/a/tokens/0123456789abcdef") == ("a", "0123456789abcdef")
    assert resource_names.state_ids("state/n/a/b") == ("n", "a/b")


@pytest.mark.parametrize(
    "name",
    ["", "a", "tasks/", "tasks/A", "tasks/a/b", "task/a", "tasks/a\n", "tasks/..", "tasks/a'--", "tasks/" + "a" * 64],
)
def test_malformed_resource_names_are_refused(name: str) -> None:
    """NAME_INVALID at the field, whatever is tried."""
    with pytest.raises(InvalidArgumentError) as refused:
        resource_names.task_id(name)
    assert refused.value.reason == ErrorReason.NAME_INVALID
    assert refused.value.violations[0].field == "name"


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("", "a.b", True),
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("*", "a.b", False),
        (">", "a.b", True),
        ("a.>", "a", False),
        ("a.>", "a.b.c", True),
        ("*.b.>", "a.b.c.d", True),
        ("a-b", "aXb", False),
    ],
)
def test_topics_match_word_by_word(pattern: str, topic: str, fits: bool) -> None:
    """`*` is one word, a final `>` one or more."""
    assert topic_pattern(pattern)(topic) is fits


@pytest.mark.parametrize("pattern", ["a.>.b", "a*", "A", "a..b", ".", "(a+)+$", "a b", "ü", "a." * 9 + "a"])
def test_malformed_patterns_are_refused(pattern: str) -> None:
    """No regular expression of a caller is ever compiled."""
    with pytest.raises(InvalidArgumentError) as refused:
        topic_pattern(pattern)
    assert refused.value.reason == ErrorReason.INVALID_TOPIC


@given(st.text(max_size=50))
def test_a_page_token_contains_its_key(key: str) -> None:
    """Whatever the key is, and only to the same question."""
    pages = PageTokens(b"k" * 32)
    request = ListRunsRequest(task="tasks/a", page_size=7)
    try:
        request.page_token = pages.token(request, ADMIN, key)
    except UnicodeEncodeError:
        return  # no key of ours holds a lone surrogate
    request.page_size = 9
    assert pages.start(request, ADMIN) == key


@given(st.text("ABCabc019-_=é ", min_size=1, max_size=60))
def test_forged_page_tokens_are_refused(token: str) -> None:
    """PAGE_TOKEN_INVALID for every one."""
    with pytest.raises(InvalidArgumentError) as refused:
        PageTokens(b"k" * 32).start(ListTasksRequest(page_token=token), ADMIN)
    assert refused.value.reason == ErrorReason.PAGE_TOKEN_INVALID


def test_a_page_token_of_another_installation_is_refused() -> None:
    """The key is part of it."""
    request = ListTasksRequest()
    request.page_token = PageTokens(b"a" * 32).token(request, ADMIN, "x")
    with pytest.raises(InvalidArgumentError):
        PageTokens(b"b" * 32).start(request, ADMIN)


def test_page_sizes_are_bounded() -> None:
    """Unset is 50, the most is 1000."""
    assert [page_size(wanted) for wanted in (0, 1, 1000, 10**9)] == [50, 1, 1000, 1000]
    with pytest.raises(InvalidArgumentError):
        page_size(-1)


def test_paths_of_violations_are_prefixed() -> None:
    """Paths and the fixes' pointers alike."""
    found = Violation(field="steps[2].uses", message="m", reason=ErrorReason.UNKNOWN_TOOL)
    operation = found.fix.operations.add()
    operation.update({"op": "move", "from": "/steps/1/uses", "path": "/steps/2/uses"})
    found.fix.explanation = "Moves it."
    moved = reroot([found, Violation(), Violation(field="[0].id")], "task.pipeline")
    assert [violation.field for violation in moved] == [
        "task.pipeline.steps[2].uses",
        "task.pipeline",
        "task.pipeline[0].id",
    ]
    repair = moved[0].repair
    assert repair is not None
    assert list(repair.operations) == [
        {"op": "move", "from": "/task/pipeline/steps/1/uses", "path": "/task/pipeline/steps/2/uses"}
    ]


def test_every_use_of_a_tool_is_found() -> None:
    """But not what a step merely passes on."""
    document = {
        "steps": [
            {"uses": "a.b", "with": {"uses": "not.this"}, "on_error": [{"uses": "c"}]},
            {"uses": 7},
            "wrong",
        ],
        "on_error": [{"uses": "d"}],
    }
    assert [(use.path, use.tool) for use in tool_uses(document)] == [
        ("steps[0].uses", "a.b"),
        ("steps[0].on_error[0].uses", "c"),
        ("on_error[0].uses", "d"),
    ]


def test_each_tool_and_store_requires_a_scope() -> None:
    """What a template decides is known only at run: some right must be there."""
    emit = {"uses": "orchestrator.emit", "with": {"topic": "${params.topic}"}}
    scopes = frozenset({"tools:call:mail.*", "events:publish:a.*"})
    token = CALLER.set(Caller("p", "a", scopes))
    owner, problems = "agents/a", Problems()
    steps = [{"uses": "mail.send"}, {"uses": "orchestrator.set"}, emit]
    require_rights(scopes, steps, "p", owner=owner, problems=problems)
    with pytest.raises(PermissionDeniedError) as refused:
        require_rights(frozenset({"tools:call:other"}), steps, "p", owner=owner, problems=problems)
    assert [violation.field for violation in refused.value.violations] == ["p[0].uses", "p[2].uses"]
    assert refused.value.facts["scopes"] == "tools:call:mail.send,events:publish"
    command = "ordinaut agent grant a --scope tools:call:mail.send --scope events:publish"
    assert refused.value.facts["command"] == command
    problems.add("x", "is wrong")
    with pytest.raises(InvalidArgumentError) as both:
        require_rights(frozenset(), steps, "p", owner=owner, problems=problems)
    assert [violation.field for violation in both.value.violations] == ["x", "p[0].uses", "p[2].uses"]
    CALLER.reset(token)
    names = ["mail.send", "orchestrator.set", "web.get"]
    assert callable_names(scopes, names) == ["mail.send", "orchestrator.set"]


def test_ids_are_uuids_of_version_7_in_order() -> None:
    """By the millisecond."""
    made = [resource_names.new_id() for _ in range(100)]
    assert {uid.version for uid in made} == {7}
    assert {uid.variant for uid in made} == {"specified in RFC 4122"}
    assert len(set(made)) == 100
    stamps = [uid.int >> 80 for uid in made]
    assert stamps == sorted(stamps)
