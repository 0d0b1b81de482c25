"""Drafts become the tasks that were meant; `python -m benchmarks drafts` measures the same on servers."""

import asyncio
from datetime import UTC, datetime

import pytest

from benchmarks.drafts.corpus import drafts
from benchmarks.drafts.scoring import Score, score
from tests.drafts.in_process import Drafting
from tests.sample import FULL

SHARES = {"shared": 0.95, "own": 0.9, "single": 0.9}
MOST_NEEDLESS = 0.1


async def scores(group: str) -> list[Score]:
    drafting = Drafting(shared=group == "shared")
    return [await score(draft, drafting.ask, datetime.now(UTC)) for draft in drafts(group)]


@pytest.mark.parametrize("group", SHARES if FULL else ("shared",))
def test_nearly_all_drafts_are_right(group: str) -> None:
    """No change that is called certain is wrong, and few questions are needless."""
    found = asyncio.run(scores(group))
    failed = {item.draft.id: f"{item.outcome}: {item.detail}" for item in found if not item.right}
    assert len(failed) <= len(found) * (1 - SHARES[group]), failed
    assert [text for item in found for text in item.blamed] == []
    plain = [item for item in found if not item.draft.question]
    assert sum(item.asked for item in plain) <= len(plain) * MOST_NEEDLESS
