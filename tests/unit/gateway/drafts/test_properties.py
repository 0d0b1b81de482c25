"""What holds for every draft: a valid document stays, twice is once, and the order of keys does not matter."""

from pathlib import Path
from typing import Any

import pytest

from gateway.drafts.draft import CERTAIN
from gateway.drafts.reading.text import read_text
from gateway.drafts.tree import plain
from tests.unit.engine.corpus import VALID as PIPELINES
from tests.unit.gateway.drafts.drafting import SHARED, drafted, redrafted, shuffled, task

VALID: dict[str, Any] = {
    "schedules": {
        "name": "tasks/a",
        "schedule": {
            "triggers": [
                {"id": "x", "cron": "0 9 * * 1-5", "time_zone": "Europe/Rome", "params": {"city": "Rome"}},
                {"interval": "90s"},
                {"once": "2030-01-01T09:00:00"},
                {"rrule": "FREQ=DAILY"},
                {"event": {"topic": "mail.*", "when": "data.n > 5"}},
            ],
            "time_zone": "Europe/Berlin",
            "start_time": "2026-01-01T00:00:00Z",
            "exclusions": [{"date": "2026-12-25"}],
            "jitter": "30s",
            "catch_up": {"policy": "ALL", "window": "3600s"},
            "dst": {"gap": "SKIP"},
        },
        "run_policy": {"overlap": {"policy": "SKIP"}, "priority": 3, "retry": {"max": 2, "delay": "5s"}},
        "params": {"city": "Berlin", "filter": {"type": "x"}},
        "labels": {"team": "ops"},
        "pipeline": {"steps": [{"id": "w", "uses": "weather.forecast", "with": {"city": "${params.city}"}}]},
    },
}


@pytest.mark.parametrize("name", list(PIPELINES))
def test_a_valid_pipeline_is_not_changed(name: str) -> None:
    document = {"name": "tasks/a", "pipeline": PIPELINES[name]}
    if not isinstance(PIPELINES[name], dict) or "payload" in PIPELINES[name]:
        return
    draft = redrafted(document)
    assert [edit.why for edit in draft.edits] == []
    assert task(draft) == document


@pytest.mark.parametrize("name", list(VALID))
def test_a_valid_task_is_not_changed(name: str) -> None:
    draft = redrafted(VALID[name])
    assert [edit.why for edit in draft.edits] == []
    assert (task(draft), draft.asks, draft.losses) == (VALID[name], [], [])


@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.stem)
def test_drafting_twice_is_drafting_once(path: Path) -> None:
    once = drafted(path.read_text())
    if once.asks:
        return
    twice = redrafted(task(once))
    assert [edit.why for edit in twice.edits] == []
    assert task(twice) == task(once)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.stem)
def test_the_order_of_keys_does_not_matter(path: Path, seed: int) -> None:
    if path.suffix == ".json":  # the order of n8n is that of its connections; the other one is not JSON
        return
    source = drafted(path.read_text())
    written = redrafted(shuffled(read(path), seed))
    assert task(written) == task(source)
    certain = [sorted(edit.why for edit in draft.edits if edit.certainty == CERTAIN) for draft in (source, written)]
    assert certain[0] == certain[1]


def read(path: Path) -> Any:
    return plain(read_text(path.read_text()).documents[0])
