"""Matching of events against triggers."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from ordinaut.limits import MAX_CHAIN_DEPTH
from ordinaut.store.event import EventTrigger
from ordinaut.streams.event_stream import Entry
from scheduler.events.match import MatchResult, RunEnd, match_events


def entry(*topics: str, position: int = 1, project: str = "p", depth: int = 0, data: Any = None) -> Entry:
    events = [
        {
            "uid": f"{topic}-{place}",
            "topic": topic,
            "source": "s",
            "subject": "",
            "id": "",
            "publisher": "",
            "depth": depth,
            "data": data or {},
        }
        for place, topic in enumerate(topics)
    ]
    return Entry("uid", project, position, len(events), 1_700_000_000_000_000, json.dumps(events).encode())


def trigger(topic: str, *, when: str = "", project: str = "p", after: int = 0) -> EventTrigger:
    return EventTrigger(1, project, UUID(int=1), "t0", topic, when, None, after)


def match(entries: list[Entry], *triggers: EventTrigger) -> MatchResult:
    return match_events(entries, triggers)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [("mail.received", ["mail.received-0"]), ("mail.*", ["mail.received-0"]), (">", ["mail.received-0", "order-1"])],
)
def test_a_topic_pattern_selects_events(topic: str, expected: list[str]) -> None:
    assert [each.uid for each in match([entry("mail.received", "order")], trigger(topic)).matches] == expected


def test_triggers_match_only_their_own_project() -> None:
    assert match([entry("a", project="other")], trigger("a")).matches == []


def test_only_events_after_the_effective_position_match_even_inside_one_row() -> None:
    matches = match([entry("a", "a", "a", position=10)], trigger("a", after=11)).matches
    assert [each.uid for each in matches] == ["a-2"]


def test_the_event_of_a_run_has_its_position_and_time() -> None:
    [first] = match([entry("a", position=7, data={"n": 1})], trigger("a")).matches
    document = json.loads(first.event)
    assert (document["position"], document["publish_time"], document["data"]) == (7, "2023-11-14T22:13:20Z", {"n": 1})


@pytest.mark.parametrize(("when", "count"), [("data.n > `1`", 1), ("data.n > `5`", 0), ("data.none > `5`", 0)])
def test_a_condition_that_cannot_be_evaluated_is_false(when: str, count: int) -> None:
    assert len(match([entry("a", data={"n": 3})], trigger("a", when=when)).matches) == count


def test_a_run_is_one_level_deeper_than_its_event_up_to_the_limit() -> None:
    [first] = match([entry("a", depth=MAX_CHAIN_DEPTH - 1)], trigger("a")).matches
    assert first.depth == MAX_CHAIN_DEPTH
    assert match([entry("a", depth=MAX_CHAIN_DEPTH)], trigger("a")).matches == []


def test_ends_of_runs_are_collected_by_task_and_inline_runs_are_ignored() -> None:
    task = uuid4()
    ended = entry("ordinaut.run.failed", data={"task_uid": str(task)})
    inline = entry("ordinaut.run.succeeded", data={"task_uid": ""})
    queued = entry("ordinaut.run.queued", data={"task_uid": str(uuid4())})
    assert match([ended, inline, queued]).ended == {
        task: [RunEnd("FAILED", datetime.fromtimestamp(1_700_000_000, UTC))]
    }


def group(*runs: str, topic: str = "ordinaut.run.succeeded") -> Entry:
    shared = {"topic": topic, "subject": "tasks/t", "depth": 0, "data": {"task_uid": str(UUID(int=2))}, "part": "ended"}
    events = json.dumps([{**shared, "runs": runs}]).encode()
    return Entry("uid", "p", 5, len(runs), 1_700_000_000_000_000, events)


def test_a_group_is_an_event_for_each_of_its_runs() -> None:
    matches = match([group("a", "b")], trigger("ordinaut.run.*", after=5)).matches
    assert [(each.uid, json.loads(each.event)["position"]) for each in matches] == [("b-ended", 6)]
    assert json.loads(matches[0].event)["source"] == "runs/b"


def test_positions_continue_after_a_group() -> None:
    both = json.dumps(json.loads(group("a", "b").events) + json.loads(entry("mail").events)).encode()
    matches = match([Entry("uid", "p", 5, 3, 1, both)], trigger("mail")).matches
    assert json.loads(matches[0].event)["position"] == 7


def test_every_end_in_a_group_counts() -> None:
    ended = match([group("a", "b", topic="ordinaut.run.failed")]).ended
    assert [end.state for end in ended[UUID(int=2)]] == ["FAILED", "FAILED"]
