"""The paths of steps that a mock may name."""

import pytest

from gateway.runs.mocks import STEP


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "loop[2].b",
        "loop[*].b",
        "both.left.x",
        "a.on_error.note",
        "a.else.b",
        "poll[*]",
        "each[*][2].x",
        "a?lookup",
    ],
)
def test_a_path_of_a_step_is_accepted(path: str) -> None:
    """Of an element, a round, and a round of an element too."""
    assert STEP.fullmatch(path)


@pytest.mark.parametrize("path", ["", "A", "a.", ".a", "a[]", "a[x]", "a[-1]", "a[0][1][2]", "a[0]b", "a b"])
def test_other_text_is_rejected(path: str) -> None:
    assert not STEP.fullmatch(path)
