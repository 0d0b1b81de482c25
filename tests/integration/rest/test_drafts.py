"""DraftTask over HTTP: text or JSON, in a body of JSON."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.support.rest_system import RestSystem, rest_system

TEXT = "name: a\nsteps:\n  - {id: x, uses: set, with: {n: 1}}\n  - {uses: set, when: x.n > 0, with: {m: '{{ x.n }}'}}\n"
MEANT = [
    {"id": "x", "uses": "orchestrator.set", "with": {"n": 1}},
    {"id": "set", "uses": "orchestrator.set", "if": "steps.x.n > 0", "with": {"m": "${steps.x.n}"}},
]


@pytest_asyncio.fixture
async def rest(database_url: str) -> AsyncIterator[RestSystem]:
    async with rest_system(database_url) as started:
        yield started


async def test_a_text_becomes_a_task_that_can_be_created(rest: RestSystem) -> None:
    answer = await rest.call("POST", "/v1/tasks:draft", {"text": TEXT})
    assert (answer.status, answer.json["complete"]) == (200, True)
    [task] = answer.json["tasks"]
    assert task["pipeline"]["steps"] == MEANT
    renamed = next(change for change in answer.json["changes"] if change["to"] == '{"if": "x.n > 0"}')
    assert renamed["task_pointer"] == "/pipeline/steps/1/if"
    assert renamed["certainty"] == "CERTAIN"
    assert renamed["source"] == {"line": 4, "column": 17, "excerpt": "when: x.n > 0, with: {m: '{{ x.n }}'}}"}
    created = await rest.call("POST", "/v1/tasks?task_id=a", task)
    assert created.status == 200


async def test_json_is_drafted_as_well_and_answers_are_checked(rest: RestSystem) -> None:
    document = {"steps": [{"id": "a", "uses": "nothing.like_it", "with": {"x": 1}}]}
    asked = (await rest.call("POST", "/v1/tasks:draft", {"json": document})).json
    [question] = asked["questions"]
    assert (question["id"], [choice["id"] for choice in question["choices"]]) == ("tool:a", ["register", "remove"])
    assert question["choices"][1]["patch"] == [{"op": "remove", "path": "/pipeline/steps/0"}]
    wrong = await rest.call("POST", "/v1/tasks:draft", {"json": document, "answers": {"tool:a": "x"}})
    assert wrong.status == 400
    assert "must be one of register, remove" in wrong.text


async def test_problems_name_their_line(rest: RestSystem) -> None:
    text = "steps:\n  - id: a\n    uses: orchestrator.set\n    colour: red\n"
    [problem] = (await rest.call("POST", "/v1/tasks:draft", {"text": text})).json["problems"]
    assert (problem["field"], problem["source"]["line"]) == ("tasks[0].pipeline.steps[0].colour", 4)
    assert problem["message"].endswith("(line 4, column 5: `colour: red`)")
