"""Which outcome a draft gets from the responses of DraftTask."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from benchmarks.drafts.corpus import Draft
from benchmarks.drafts.scoring import Outcome, Score, score
from benchmarks.drafts.validity import read_task
from ordinaut.client import ApiError
from ordinaut.v1.draft_pb2 import Certainty, Change, Choice, Problem, Question
from ordinaut.v1.task_service_pb2 import DraftTaskRequest, DraftTaskResponse

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def task(zone: str = "UTC", city: str = "Oslo") -> dict[str, Any]:
    """A valid task."""
    return {
        "name": "tasks/a",
        "schedule": {"time_zone": zone, "triggers": [{"cron": "0 9 * * *"}]},
        "pipeline": {"steps": [{"id": "w", "uses": "weather.forecast", "with": {"city": city}}]},
    }


def response(document: dict[str, Any], questions: Sequence[str] = (), **more: Any) -> DraftTaskResponse:
    """A response with this task, and questions with the choices `a` and `b`."""
    asked = [Question(id=name, text=name, choices=[Choice(id="a"), Choice(id="b")]) for name in questions]
    complete = not questions and not more.get("problems")
    return DraftTaskResponse(tasks=[read_task(document)], questions=asked, complete=complete, **more)


DRAFT = Draft("d", "own", "family", "text", (task(), task(zone="Europe/Berlin")))
ASKING = replace(DRAFT, question="zone")


def scored(
    draft: Draft, first: DraftTaskResponse | ApiError, answers: dict[str, DraftTaskResponse] | None = None
) -> Score:
    """The score; `answers` maps the choice of the question `q` to the second response."""

    async def ask(request: DraftTaskRequest) -> DraftTaskResponse:
        reply = (answers or {}).get(request.answers.get("q", "b"), first) if request.answers else first
        if isinstance(reply, ApiError):
            raise reply
        return reply

    return asyncio.run(score(draft, ask, NOW))


def test_each_acceptable_task_is_exact() -> None:
    assert scored(DRAFT, response(task())).outcome == Outcome.EXACT
    assert scored(DRAFT, response(task(zone="Europe/Berlin"))).outcome == Outcome.EXACT


def test_another_task_is_wrong() -> None:
    result = scored(DRAFT, response(task(city="Cluj")))
    assert (result.outcome, result.right) == (Outcome.WRONG, False)
    assert "Cluj" in result.detail


def test_a_certain_change_to_another_value_is_blamed() -> None:
    pointer = "/pipeline/steps/0/with/city"
    change = Change(task_pointer=pointer, to='"Cluj"', certainty=Certainty.CERTAIN)
    right = Change(task_pointer="/pipeline/steps/0/uses", to='"weather.forecast"', certainty=Certainty.CERTAIN)
    assumed = Change(task_pointer=pointer, to='"Cluj"', certainty=Certainty.ASSUMED)
    [blamed] = scored(DRAFT, response(task(city="Cluj"), changes=[right, change, assumed])).blamed
    assert blamed.startswith(pointer)
    assert scored(DRAFT, response(task(city="Cluj"), changes=[right, assumed])).blamed == ()
    assert scored(DRAFT, response(task(), changes=[right, change])).blamed == ()


def test_a_question_counts_where_it_is_needed() -> None:
    first, second = response(task(zone="Asia/Tokyo"), ["q"]), {"b": response(task())}
    assert scored(ASKING, first, second).outcome == Outcome.BY_QUESTION
    needless = scored(DRAFT, first, second)
    assert (needless.outcome, needless.right, needless.asked) == (Outcome.NEEDLESS, False, True)


def test_a_question_that_changes_nothing_is_only_noted() -> None:
    result = scored(DRAFT, response(task(), ["q"]))
    assert (result.outcome, result.asked) == (Outcome.EXACT, True)


def test_a_decision_where_a_question_is_needed_is_wrong() -> None:
    assert scored(ASKING, response(task())).outcome == Outcome.WRONG
    assert scored(replace(ASKING, may_ask=True), response(task())).outcome == Outcome.EXACT


def test_no_choice_that_gives_the_oracle_is_not_understood() -> None:
    result = scored(ASKING, response(task(city="Cluj"), ["q"]), {"b": response(task(city="Rome"))})
    assert result.outcome == Outcome.NOT_UNDERSTOOD


def test_a_refusal_and_a_problem_are_not_understood() -> None:
    refused = scored(DRAFT, ApiError("INVALID_ARGUMENT", "no document"))
    assert (refused.outcome, "no document" in refused.detail) == (Outcome.NOT_UNDERSTOOD, True)
    problem = scored(DRAFT, response(task(), problems=[Problem(field="tasks[0].x", message="unknown")]))
    assert (problem.outcome, problem.detail) == (Outcome.NOT_UNDERSTOOD, "tasks[0].x: unknown")


def test_every_task_of_a_document_counts() -> None:
    other = {**task(city="Cluj"), "name": "tasks/b"}
    both = replace(DRAFT, more=(other,))
    assert scored(both, response(task())).outcome == Outcome.WRONG
    tasks = [read_task(other), read_task(task())]
    assert scored(both, DraftTaskResponse(tasks=tasks, complete=True)).outcome == Outcome.EXACT
    tasks = [read_task({**other, "params": {"a": 1}}), read_task(task())]
    assert scored(both, DraftTaskResponse(tasks=tasks, complete=True)).outcome == Outcome.WRONG
