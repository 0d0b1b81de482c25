"""Writes drafts as the response of DraftTask."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.drafts.draft import REMOVED, Ask, Draft, Edit, Option
from gateway.drafts.tree import Place, escaped, plain, pointers
from ordinaut.errors import Violation
from ordinaut.v1.draft_pb2 import Change, Choice, Dropped, Problem, Question, Source
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import DraftTaskResponse

EXCERPT_MAX = 200
VALUE_MAX = 2_000
MESSAGE_MAX = 2_048  # bytes


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft, the message that it is now, and its problems, with paths from the task."""

    draft: Draft
    task: Task
    problems: Sequence[Violation]


def to_response(drafted: Sequence[Drafted], text: str) -> DraftTaskResponse:
    """The response for the drafts of one text."""
    lines = text.split("\n")
    response = DraftTaskResponse()
    for index, item in enumerate(drafted):
        response.tasks.append(item.task)
        where = pointers(item.draft.root)
        response.changes.extend(_change(edit, where, lines) for edit in item.draft.edits)
        response.questions.extend(_question(ask, index, where) for ask in item.draft.asks)
        response.dropped.extend(Dropped(source=source(loss.place, lines), why=loss.why) for loss in item.draft.losses)
        response.problems.extend(_problem(problem, item.draft.root, index, lines) for problem in item.problems)
    response.complete = bool(response.tasks) and not response.questions and not response.problems
    return response


def _problem(problem: Violation, root: Any, task: int, lines: Sequence[str]) -> Problem:
    where = source(place_of_field(root, problem.field), lines)
    place = f" (line {where.line}, column {where.column}: `{where.excerpt[:80]}`)" if where.line else ""
    longest = MESSAGE_MAX - len(place.encode())
    return Problem(
        field=f"tasks[{task}].{problem.field}",
        message=problem.message.encode()[:longest].decode(errors="ignore") + place,
        reason=problem.reason,
        source=where,
    )


def source(place: Place, lines: Sequence[str]) -> Source:
    """A place in the text with what is written there."""
    if not 0 < place.line <= len(lines):
        return Source()
    excerpt = lines[place.line - 1][max(place.column - 1, 0) :].strip()[:EXCERPT_MAX]
    return Source(line=place.line, column=place.column, excerpt=excerpt)


def place_of_field(root: Any, field: str) -> Place:
    """The place of the deepest part of a path such as `pipeline.steps[2].if` that was written."""
    place, value = getattr(root, "place", Place()), root
    for part in field.replace("[", ".[").split("."):
        key: Any = int(part[1:-1]) if part.startswith("[") and part[1:-1].isdecimal() else part.strip("[]'")
        try:
            place, value = value.place_of(key), value[key]
        except (LookupError, TypeError, AttributeError):
            break
    return place


def _change(edit: Edit, where: dict[int, str], lines: Sequence[str]) -> Change:
    parent = where.get(id(edit.parent), "")
    pointer = parent if edit.key is None or id(edit.parent) not in where else f"{parent}/{escaped(edit.key)}"
    change = Change(
        task_pointer=pointer,
        to=_json(edit.after),
        why=edit.why,
        certainty=edit.certainty,
        source=source(edit.place, lines),
    )
    setattr(change, "from", _json(edit.before))
    return change


def _json(value: Any) -> str:
    text = json.dumps(plain(value), ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_MAX else json.dumps(text[:VALUE_MAX] + "…", ensure_ascii=False)


def _question(ask: Ask, task: int, where: Mapping[int, str]) -> Question:
    question = Question(id=ask.id, text=ask.text, default_choice=ask.default, task=task)
    for option in ask.options:
        choice = Choice(id=option.id, label=option.label)
        for operation in [*option.patch, *operations(option, where)]:
            choice.patch.add().update(dict(operation))
        question.choices.append(choice)
    return question


def operations(option: Option, where: Mapping[int, str]) -> Iterator[Mapping[str, Any]]:
    """The JSON Patch operations that set the members of an option; `where` are the pointers of the tree."""
    for parent, key, value in option.settings:
        if id(parent) not in where:
            continue
        path = f"{where[id(parent)]}/{escaped(key)}"
        exists = isinstance(parent, list) or key in parent
        if value is not REMOVED:
            yield {"op": "replace" if exists else "add", "path": path, "value": plain(value)}
        elif exists:
            yield {"op": "remove", "path": path}
