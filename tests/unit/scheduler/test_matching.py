"""Which runs events start."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from ordinaut.limits import MAX_CHAIN_DEPTH
from ordinaut.streams.event_stream import Entry
from scheduler.events.match import End, Found, matches_of


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


def trigger(topic: str, *, when: str = "", project: str = "p", after: int = 0) -> dict[str, Any]:
    return {
        "project": project,
        "task": UUID(int=1),
        "trigger": "t0",
        "topic": topic,
        "condition": when,
        "params": None,
        "effective_position": after,
    }


def found(entries: list[Entry], *triggers: dict[str, Any]) -> Found:
    return matches_of(entries, triggers)  # type: ignore[arg-type]  # records are read by name only


@pytest.mark.parametrize(
    ("topic", "expected"),
    [("mail.received", ["mail.received-0"]), ("mail.*", ["mail.received-0"]), (">", ["mail.received-0", "order-1"])],
)
def test_a_topic_pattern_chooses(topic: str, expected: list[str]) -> None:
    assert [match.uid for match in found([entry("mail.received", "order")], trigger(topic)).matches] == expected


def test_projects_do_not_hear_each_other() -> None:
    assert found([entry("a", project="other")], trigger("a")).matches == []


def test_only_positions_behind_the_trigger_count_also_inside_one_row() -> None:
    matches = found([entry("a", "a", "a", position=10)], trigger("a", after=11)).matches
    assert [match.uid for match in matches] == ["a-2"]


def test_the_event_that_a_run_gets_tells_its_place_and_time() -> None:
    [match] = found([entry("a", position=7, data={"n": 1})], trigger("a")).matches
    told = json.loads(match.event)
    assert (told["position"], told["publish_time"], told["data"]) == (7, "2023-11-14T22:13:20Z", {"n": 1})


@pytest.mark.parametrize(("when", "count"), [("data.n > `1`", 1), ("data.n > `5`", 0), ("data.none > `5`", 0)])
def test_a_condition_is_asked_and_what_cannot_be_told_is_false(when: str, count: int) -> None:
    assert len(found([entry("a", data={"n": 3})], trigger("a", when=when)).matches) == count


def test_a_run_is_one_deeper_than_its_event_and_chains_end() -> None:
    [match] = found([entry("a", depth=MAX_CHAIN_DEPTH - 1)], trigger("a")).matches
    assert match.depth == MAX_CHAIN_DEPTH
    assert found([entry("a", depth=MAX_CHAIN_DEPTH)], trigger("a")).matches == []


def test_tasks_whose_runs_have_ended_are_noted_and_runs_without_a_task_are_not() -> None:
    task = uuid4()
    ended = entry("ordinaut.run.failed", data={"task_uid": str(task)})
    inline = entry("ordinaut.run.succeeded", data={"task_uid": ""})
    begun = entry("ordinaut.run.queued", data={"task_uid": str(uuid4())})
    assert found([ended, inline, begun]).ended == {task: [End("FAILED", datetime.fromtimestamp(1_700_000_000, UTC))]}


def group(*runs: str, topic: str = "ordinaut.run.succeeded") -> Entry:
    told = {"topic": topic, "subject": "tasks/t", "depth": 0, "data": {"task_uid": str(UUID(int=2))}, "part": "ended"}
    events = json.dumps([{**told, "runs": runs}]).encode()
    return Entry("uid", "p", 5, len(runs), 1_700_000_000_000_000, events)


def test_a_group_is_an_event_for_each_of_its_runs() -> None:
    matches = found([group("a", "b")], trigger("ordinaut.run.*", after=5)).matches
    assert [(match.uid, json.loads(match.event)["position"]) for match in matches] == [("b-ended", 6)]
    assert json.loads(matches[0].event)["source"] == "runs/b"


def test_positions_go_on_behind_a_group() -> None:
    both = json.dumps(json.loads(group("a", "b").events) + json.loads(entry("mail").events)).encode()
    matches = found([Entry("uid", "p", 5, 3, 1, both)], trigger("mail")).matches
    assert json.loads(matches[0].event)["position"] == 7


def test_every_end_in_a_group_counts() -> None:
    ended = found([group("a", "b", topic="ordinaut.run.failed")]).ended
    assert [end.state for end in ended[UUID(int=2)]] == ["FAILED", "FAILED"]
