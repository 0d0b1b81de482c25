"""What holds for every draft: no change of a valid document, no second change, no dependence on the order of keys."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any

import pytest

from benchmarks.drafts.comparison import difference
from benchmarks.drafts.corpus import SETS, Draft, drafts
from benchmarks.drafts.validity import read_task
from ordinaut.client import ApiError
from ordinaut.documents.writing import to_document
from ordinaut.documents.yaml_text import read_yaml
from ordinaut.errors import InvalidArgumentError
from ordinaut.v1.task_service_pb2 import DraftTaskResponse
from tests.drafts.habits import HABITS
from tests.drafts.in_process import Drafting
from tests.drafts.writing import as_json, as_yaml, written
from tests.sample import amount

NOW = datetime.now(UTC)
MUTATIONS = amount("ORDINAUT_TEST_MUTATIONS", 60, 10_000)
DOCUMENTS = amount("ORDINAUT_TEST_DRAFTS", 20, 10_000)
HABITS_AT_ONCE = 4


@cache
def every_draft() -> list[Draft]:
    """All drafts, in an order that mixes the families."""
    found = [draft for group in SETS for draft in drafts(group)]
    Random(11).shuffle(found)
    return found


@cache
def valid_tasks() -> list[Mapping[str, Any]]:
    """Different valid tasks: the oracles."""
    found = {json.dumps(draft.oracles[0]): draft.oracles[0] for draft in every_draft()}
    return [oracle for text, oracle in found.items() if "<tomorrow>" not in text]


@cache
def drafting() -> Drafting:
    """DraftTask with all tools."""
    return Drafting()


def described(response: DraftTaskResponse) -> str:
    """What the response says, for the message of a failure."""
    texts = [f"{change.task_pointer}: {getattr(change, 'from')} -> {change.to}" for change in response.changes]
    texts += [question.text for question in response.questions]
    texts += [f"{problem.field}: {problem.message}" for problem in response.problems]
    return "; ".join(texts)


def test_a_valid_document_is_not_changed() -> None:
    """Neither as JSON nor as YAML."""
    for number, oracle in enumerate(valid_tasks()[:DOCUMENTS]):
        response = drafting().drafted(as_yaml(oracle) if number % 2 else as_json(oracle))
        assert response.complete, (oracle, described(response))
        assert not response.changes, (oracle, described(response))
        assert response.tasks[0] == read_task(oracle)


@pytest.mark.parametrize("number", range(HABITS_AT_ONCE))
def test_a_valid_task_in_the_words_of_others_comes_back(number: int) -> None:
    """The inverse of habits, up to four at once and in any form of text, keeps the meaning and needs no question."""
    random = Random(number)
    for _ in range(MUTATIONS // HABITS_AT_ONCE):
        oracle = random.choice(valid_tasks())
        document = json.loads(json.dumps(oracle))
        applied = [habit.__name__ for habit in HABITS if random.random() < 0.3 and _applied(habit, document, random)]
        text = written(document, random)
        response = drafting().drafted(text)
        assert response.complete, f"{applied}: {described(response)}\n{text}"
        found = difference(response.tasks[0], read_task(oracle), NOW)
        assert not found, f"{applied}: {found}; {described(response)}\n{text}"


def _applied(habit: Any, document: dict[str, Any], random: Random) -> bool:
    return "pipeline" in document and habit(document, random)


def test_a_draft_of_a_draft_is_the_same() -> None:
    """What the first round returns is not changed by a second one."""
    for draft in every_draft()[:DOCUMENTS]:
        first = _drafted(draft.text, draft)
        if first is None or not first.complete:
            continue
        for task in first.tasks:
            second = drafting().drafted(as_json(to_document(task)), time_zone=draft.zone)
            assert not second.changes, (draft.id, described(second))
            assert list(second.tasks) == [task], draft.id


def test_the_order_of_keys_does_not_matter() -> None:
    """The same tasks, questions and number of losses; only lists, and maps of steps by name, have an order."""
    random = Random(3)
    for draft in every_draft()[:DOCUMENTS]:
        try:
            document = read_yaml(draft.text.encode())
        except InvalidArgumentError:
            continue
        if not isinstance(document, dict):
            continue
        one, two = (_drafted(as_json(each), draft) for each in (document, _shuffled(document, random)))
        assert (one is None) == (two is None), draft.id
        if one is not None and two is not None:
            assert sorted(map(str, one.tasks)) == sorted(map(str, two.tasks)), draft.id
            assert {each.id for each in one.questions} == {each.id for each in two.questions}, draft.id
            assert len(one.dropped) == len(two.dropped), draft.id


def _drafted(text: str, draft: Draft) -> DraftTaskResponse | None:
    try:
        return drafting().drafted(text, format=draft.format, time_zone=draft.zone)
    except ApiError:
        return None


def _shuffled(value: Any, random: Random) -> Any:
    if isinstance(value, list):
        return [_shuffled(item, random) for item in value]
    if not isinstance(value, dict):
        return value
    items = [(key, _shuffled(item, random)) for key, item in value.items()]
    if not all(isinstance(item, dict) for _, item in items):
        random.shuffle(items)
    return dict(items)
