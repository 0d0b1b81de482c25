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
from ordinaut.documents.durations import proto_duration
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
    detail = compared(response.tasks, draft, now)
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


def compared(tasks: Sequence[Task], draft: Draft, now: datetime) -> str:
    """The difference from the first oracle, empty if one of the oracles is met; further tasks must be equal by name."""
    further = draft.further_tasks(now)
    if len(tasks) != 1 + len(further):
        return f"{len(tasks)} tasks instead of {1 + len(further)}"
    oracles = draft.tasks(now)
    names = {task.name for task in further}
    rest = sorted((task for task in tasks if task.name in names), key=lambda task: task.name)
    own = next((task for task in tasks if task.name not in names), tasks[0])
    for task, expected in zip(rest, further, strict=False):
        if found := difference(task, expected, now):
            return f"{expected.name}: {found}"
    details = [difference(own, oracle, now) for oracle in oracles[:1]]
    details += [difference(own, oracle, now) for oracle in (oracles[1:] if details[0] else ())]
    return details[0] if all(details) else ""


async def _by_question(
    draft: Draft, request: DraftTaskRequest, response: DraftTaskResponse, detail: str, ask: Ask, now: datetime
) -> Score:
    questions = "; ".join(f"{each.text} [{', '.join(item.id for item in each.choices)}]" for each in response.questions)
    needed = bool(draft.question)
    if draft.asked_only:
        return Score(draft, Outcome.BY_QUESTION, asked=True)
    if not needed and not detail:
        return Score(draft, Outcome.EXACT, f"asked: {questions}"[:400], asked=True)
    nearest = ""
    for answers in _answers(response.questions):
        answered = DraftTaskRequest()
        answered.CopyFrom(request)
        answered.answers.update(answers)
        try:
            second = await ask(answered)
        except ApiError as error:
            nearest = nearest or f"answer refused: {error}"
            continue
        differs = compared(second.tasks, draft, now)
        if not differs and second.complete:
            return Score(draft, Outcome.BY_QUESTION if needed else Outcome.NEEDLESS, questions[:400], asked=True)
        nearest = nearest or differs or f"{second.problems[:1]}"
    return Score(draft, Outcome.NOT_UNDERSTOOD, f"no choice of: {questions[:300]}; first choice: {nearest}", asked=True)


def _answers(questions: Sequence[Question]) -> Iterator[Mapping[str, str]]:
    """Every combination of choices, at most MAX_ANSWERS, the defaults first."""
    lists = []
    for question in questions:
        ids = [choice.id for choice in question.choices]
        lists.append(sorted(ids, key=lambda choice, default=question.default_choice: choice != default))  # type: ignore[misc]
    for chosen in islice(product(*lists), MAX_ANSWERS):
        yield dict(zip((question.id for question in questions), chosen, strict=True))


def _blamed(response: DraftTaskResponse, draft: Draft, detail: str, now: datetime) -> Iterator[str]:
    """CERTAIN changes in the part that differs whose value is still there, and at that place in no oracle."""
    part = detail.partition(".")[0].partition(":")[0].partition(",")[0]
    result = MessageToDict(response.tasks[0], preserving_proto_field_name=True) if response.tasks else {}
    oracles = [MessageToDict(task, preserving_proto_field_name=True) for task in draft.tasks(now)]
    for change in response.changes:
        in_part = change.task_pointer.strip("/").startswith(part) or part in {"invalid", "event triggers"}
        is_kept = change.certainty == Certainty.CERTAIN and _has(result, change)
        if in_part and is_kept and not any(_has(oracle, change) for oracle in oracles):
            yield f"{change.task_pointer}: {getattr(change, 'from')} -> {change.to} ({change.why})"


def _has(document: Mapping[str, object], change: Change) -> bool:
    """Whether the document has the new value of a change at its place."""
    missing = object()
    value = JsonPointer(change.task_pointer).resolve(document, missing)
    try:
        new = orjson.loads(change.to) if change.to else missing
    except orjson.JSONDecodeError:
        new = change.to
    last = change.task_pointer.rpartition("/")[2]
    if isinstance(new, dict) and new.keys() == {last}:
        new = new[last]  # a renamed key
    return _plain(value) == _plain(new)


def _plain(value: object) -> object:
    """An expression without `${}` and blanks; a duration in seconds."""
    if not isinstance(value, str):
        return value
    text = "".join(value.split())
    return proto_duration(text) or text.removeprefix("${").removesuffix("}")
