"""What people and programs may write into a request's fields."""

import pytest
from google.protobuf.duration_pb2 import Duration

from gateway.api.violations import LABELS_MAX, Problems, output_only
from ordinaut.errors import InvalidArgumentError
from ordinaut.v1.agent_pb2 import Agent
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.tool_pb2 import Tool


@pytest.mark.parametrize("text", ["", "Grüße", "日本語", "👩‍🚀", "نامه‌ای", "a" * 20])
def test_texts_of_any_script_are_accepted(text: str) -> None:
    """Joiners included, which scripts and emoji need."""
    problems = Problems()
    problems.text("f", text, 20)
    assert problems.violations == []


@pytest.mark.parametrize(
    "text", ["a" * 21, " ", "a\tb", "a\nb", "\x1b[31m", "a\u200bb", "\u202eabc", "\ufeffa", "\x7f"]
)
def test_deceptive_texts_are_refused(text: str) -> None:
    """Too long, blank, invisible, or able to reorder what stands beside them."""
    problems = Problems()
    problems.text("f", text, 20)
    assert [violation.field for violation in problems.violations] == ["f"]


def test_descriptions_may_have_several_lines() -> None:
    """But no other control characters."""
    problems = Problems()
    problems.text("f", "a\n\tb\r\n", 20, lines=True)
    assert problems.violations == []
    problems.text("f", "a\x07", 20, lines=True)
    assert len(problems.violations) == 1


def test_labels_are_bounded() -> None:
    """In number, key and value; each problem on its own."""
    problems = Problems()
    problems.labels("l", {"ok": "", "Bad": "x", "long": "x" * 201})
    assert [violation.field for violation in problems.violations] == ["l", "l.long"]
    many = Problems()
    many.labels("l", {f"k{index}": "" for index in range(LABELS_MAX + 1)})
    assert len(many.violations) == 1


def test_scopes_are_well_formed_and_unique() -> None:
    """Globs only where a resource can stand."""
    problems = Problems()
    problems.scopes("s", ["admin", "tasks:read", "tools:call:mail.*", "tasks:read", "task:read", "admin:x", ""])
    assert [violation.field for violation in problems.violations] == ["s[3]", "s[4]", "s[5]", "s[6]"]


@pytest.mark.parametrize(("seconds", "nanos", "fine"), [(0, 0, False), (-1, 0, False), (0, 1, True), (60, 1, False)])
def test_durations_are_positive_and_bounded(seconds: int, nanos: int, fine: bool) -> None:
    """To the nanosecond."""
    problems = Problems()
    problems.duration("d", Duration(seconds=seconds, nanos=nanos), 60)
    assert (problems.violations == []) is fine


def test_output_only_fields_are_read_from_the_contract() -> None:
    """Those that are set are refused, each by its path."""
    assert {"owner", "uid", "state", "upcoming"} <= set(output_only(Task()))
    assert "orchestrator" in output_only(Tool())
    problems = Problems()
    problems.not_writable("task", Task(owner="agents/x", uid="u", display_name="fine"))
    assert [violation.field for violation in problems.violations] == ["task.uid", "task.owner"]
    problems.not_writable("agent", Agent(name="agents/x"))
    assert len(problems.violations) == 2


def test_check_raises_with_all_violations() -> None:
    """One reason when all problems are of one kind."""
    problems = Problems()
    problems.check()
    problems.text("a", " ", 5)
    problems.text("b", " ", 5)
    with pytest.raises(InvalidArgumentError) as raised:
        problems.check()
    assert [violation.field for violation in raised.value.violations] == ["a", "b"]
