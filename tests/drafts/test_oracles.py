"""Each draft has a valid oracle, and the comparison with it finds what differs."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from benchmarks.drafts.comparison import difference
from benchmarks.drafts.corpus import SETS, Draft, drafts
from benchmarks.drafts.validity import problems_of

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def corpus() -> dict[str, Draft]:
    """Every draft: they are read when they are needed, not when tests are collected."""
    return {f"{draft.group} {draft.id}": draft for group in SETS for draft in drafts(group)}


@pytest.mark.parametrize("group", SETS)
def test_every_oracle_is_valid(corpus: dict[str, Draft], group: str) -> None:
    """Each acceptable task of a draft can be stored."""
    oracles = {
        name: [*draft.tasks(NOW), *draft.further_tasks(NOW)] for name, draft in corpus.items() if draft.group == group
    }
    problems = {name: [problems_of(task, NOW) for task in tasks] for name, tasks in oracles.items()}
    assert {name: found for name, found in problems.items() if any(found)} == {}


def test_there_are_enough_drafts_of_each_kind(corpus: dict[str, Draft]) -> None:
    """No family is a handful, and a draft that needs a question is the exception."""
    sizes = Counter(draft.group for draft in corpus.values())
    assert sizes["shared"] == 20
    assert sizes["own"] >= 220
    assert sizes["single"] >= 150
    families = Counter((draft.group, draft.family) for draft in corpus.values())
    assert min(families.values()) >= 7
    assert sum(bool(draft.question) for draft in corpus.values()) <= len(corpus) / 5


def test_a_mistake_is_one(corpus: dict[str, Draft]) -> None:
    """A text with a mistake is not the text of its oracle, and no two texts are the same."""
    texts = Counter(draft.text for draft in corpus.values())
    assert [text for text, count in texts.items() if count > 1] == []


def test_an_oracle_of_another_draft_differs(corpus: dict[str, Draft]) -> None:
    """The comparison does not call everything equal: neighbours in a file mean different tasks."""
    own = [draft for draft in corpus.values() if draft.group == "own" and draft.family not in {"json", "yaml"}]
    for draft, other in zip(own[::7], own[1::7], strict=False):
        mine, its = draft.tasks(NOW)[0], other.tasks(NOW)[0]
        mine.name = its.name
        assert difference(mine, its, NOW), (draft.id, other.id)
