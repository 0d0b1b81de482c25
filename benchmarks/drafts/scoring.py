"""Whether one draft becomes the task that was meant: in one round, or by one answer to a question that it needs."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice, product

import orjson
from google.protobuf.json_format import MessageToDict
from jsonpointer import JsonPointer

from benchmarks.drafts.comparison import difference
from benchmarks.drafts.corpus import Draft
from ordinaut.client import ApiError
from ordinaut.v1.draft_pb2 import Certainty, Change, Question
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import DraftTaskRequest, DraftTaskResponse

MAX_ANSWERS = 48
Ask = Callable[[DraftTaskRequest], Awaitable[DraftTaskResponse]]


class Outcome(StrEnum):
    """What became of a draft; the first two count as right."""

    EXACT = "exact"
    BY_QUESTION = "by question"
    NEEDLESS = "needless question"
    WRONG = "wrong"
    NOT_UNDERSTOOD = "not understood"


RIGHT = frozenset({Outcome.EXACT, Outcome.BY_QUESTION})


@dataclass(frozen=True)
class Score:
    """The outcome, why it is not right, whether something was asked, and the CERTAIN changes that are to blame."""

    draft: Draft
    outcome: Outcome
    detail: str = ""
    asked: bool = False
    blamed: tuple[str, ...] = ()

    @property
    def right(self) -> bool:
        """Whether the draft counts."""
        return self.outcome in RIGHT


async def score(draft: Draft, ask: Ask, now: datetime) -> Score:
    """Drafts once, and once more for each combination of answers if a question is open."""
    request = DraftTaskRequest(text=draft.text, format=draft.format, time_zone=draft.zone)
    try:
        response = await ask(request)
    except ApiError as error:
        return Score(draft, Outcome.NOT_UNDERSTOOD, f"refused: {error}"[:400])
    detail = compared(response.tasks, draft.tasks(now), now)
    if response.questions:
        return await _by_question(draft, request, response, detail, ask, now)
    if not response.complete:
        problem = response.problems[0] if response.problems else None
        text = f"{problem.field}: {problem.message}" if problem else detail
        return Score(draft, Outcome.NOT_UNDERSTOOD, text[:500])
    if draft.question and not draft.may_ask:
        return Score(draft, Outcome.WRONG, f"decided without asking for: {draft.question}; {detail}")
    if not detail:
        return Score(draft, Outcome.EXACT)
    return Score(draft, Outcome.WRONG, detail, blamed=tuple(_blamed(response, draft, detail, now)))


def compared(tasks: Sequence[Task], oracles: Sequence[Task], now: datetime) -> str:
    """The difference from the first oracle, empty if one of the oracles is met."""
    if len(tasks) != 1:
        return f"{len(tasks)} tasks instead of one"
    details = (difference(tasks[0], oracle, now) for oracle in oracles)
    first = next(details)
    return "" if not first or not all(details) else first


async def _by_question(
    draft: Draft, request: DraftTaskRequest, response: DraftTaskResponse, detail: str, ask: Ask, now: datetime
) -> Score:
    questions = "; ".join(f"{each.text} [{', '.join(item.id for item in each.choices)}]" for each in response.questions)
    needed = bool(draft.question)
    if draft.asked_only:
        return Score(draft, Outcome.BY_QUESTION, asked=True)
    if not needed and not detail:
        return Score(draft, Outcome.EXACT, f"asked: {questions}"[:400], asked=True)
    nearest = detail
    for answers in _answers(response.questions):
        answered = DraftTaskRequest()
        answered.CopyFrom(request)
        answered.answers.update(answers)
        try:
            second = await ask(answered)
        except ApiError as error:
            nearest = f"answer refused: {error}"
            continue
        nearest = compared(second.tasks, draft.tasks(now), now)
        if not nearest and second.complete:
            return Score(draft, Outcome.BY_QUESTION if needed else Outcome.NEEDLESS, questions[:400], asked=True)
    return Score(draft, Outcome.NOT_UNDERSTOOD, f"no choice of: {questions[:300]}; last: {nearest}", asked=True)


def _answers(questions: Sequence[Question]) -> Iterator[Mapping[str, str]]:
    """Every combination of choices, at most MAX_ANSWERS, the defaults first."""
    lists = []
    for question in questions:
        ids = [choice.id for choice in question.choices]
        lists.append(sorted(ids, key=lambda choice, default=question.default_choice: choice != default))  # type: ignore[misc]
    for chosen in islice(product(*lists), MAX_ANSWERS):
        yield dict(zip((question.id for question in questions), chosen, strict=True))


def _blamed(response: DraftTaskResponse, draft: Draft, detail: str, now: datetime) -> Iterator[str]:
    """CERTAIN changes that are wrong: all of them if nothing was assumed, else those whose value no oracle has."""
    certain = [change for change in response.changes if change.certainty == Certainty.CERTAIN]
    only_certain = len(certain) == len(response.changes)
    part = detail.partition(".")[0].partition(":")[0].partition(",")[0]
    oracles = [MessageToDict(task, preserving_proto_field_name=True) for task in draft.tasks(now)]
    for change in certain:
        in_part = change.task_pointer.strip("/").startswith(part)
        if (in_part or part in {"invalid", "event triggers"}) and not any(_has(oracle, change) for oracle in oracles):
            yield f"{change.task_pointer}: {getattr(change, 'from')} -> {change.to} ({change.why})"
    if only_certain and not certain:
        yield f"nothing was changed, and the task is called valid: {detail}"


def _has(oracle: Mapping[str, object], change: Change) -> bool:
    """Whether the oracle has the new value of a change at its place."""
    missing = object()
    value = JsonPointer(change.task_pointer).resolve(oracle, missing)
    try:
        new = orjson.loads(change.to) if change.to else missing
    except orjson.JSONDecodeError:
        new = change.to
    return value == new
