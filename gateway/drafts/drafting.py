"""From a text or JSON to drafts: reading, dialects, habits. Without I/O; takes at most a second for 64 KiB."""

from collections.abc import Mapping
from typing import Any

from gateway.drafts.answers import Answers
from gateway.drafts.dialects.registry import documents_of
from gateway.drafts.dialects.texts import drafts_of_foreign_text
from gateway.drafts.draft import ASSUMED, CERTAIN, Ask, Draft, Option
from gateway.drafts.habits.context import ToolInfo, Work
from gateway.drafts.habits.groups import normalise
from gateway.drafts.habits.shape import split_tasks
from gateway.drafts.reading.text import Reading, read_text
from gateway.drafts.reading.yaml import Duplicate, UnreadableError
from gateway.drafts.tree import Array, Object, plain, tree_of
from ordinaut.errors import InvalidArgumentError
from ordinaut.v1.error_pb2 import ErrorReason

ANSWER_ROUNDS = 4  # an answer may lead to another question


def drafts_of_text(text: str, form: str, tools: Mapping[str, ToolInfo], answers: Answers) -> list[Draft]:
    """The drafts of a text: one for each task in it.

    Raises:
        InvalidArgumentError: MALFORMED_JSON, there is no document in the text.
    """
    foreign = drafts_of_foreign_text(text, form)
    if foreign is not None:
        drafts = [part for draft in foreign for part in ([draft] if draft.edits else documents_of(draft.root, form))]
        return _settled(drafts, Reading([]), tools, answers)
    try:
        reading = read_text(text)
    except UnreadableError as failure:
        line, column = failure.place
        where = f" at line {line}, column {column}" if line else ""
        message = f"the text must be YAML or JSON: {failure.message}{where}"
        raise InvalidArgumentError(
            ErrorReason.MALFORMED_JSON, message, {"line": line, "column": column} if line else {}
        ) from None
    return _drafts(reading, form, tools, answers)


def drafts_of_json(document: Any, form: str, tools: Mapping[str, ToolInfo], answers: Answers) -> list[Draft]:
    """The drafts of a JSON document."""
    return _drafts(Reading([tree_of(document)]), form, tools, answers)


def _drafts(reading: Reading, form: str, tools: Mapping[str, ToolInfo], answers: Answers) -> list[Draft]:
    trees = [part for tree in _joined(reading.documents) for part in split_tasks(tree)]
    drafts = [draft for tree in trees for draft in documents_of(tree, form)]
    for repair in reading.repairs:
        drafts[0].note(
            repair.why, repair.place, repair.before, repair.after or None, certain=repair.certainty == CERTAIN
        )
    return _settled(drafts, reading, tools, answers)


def _settled(drafts: list[Draft], reading: Reading, tools: Mapping[str, ToolInfo], answers: Answers) -> list[Draft]:
    for index, draft in enumerate(drafts):
        prefix = f"tasks[{index}]." if len(drafts) > 1 else ""
        _expand(draft, reading)
        _duplicates(draft, reading.duplicates, prefix)
        _settle(Work(draft, tools, prefix), answers)
    return drafts


def _joined(trees: list[Any]) -> list[Any]:
    """Documents that are parts of one task: only one of them has steps, and no key is in two."""
    objects = [tree for tree in trees if isinstance(tree, Object)]
    keys = [key for tree in objects for key in tree]
    with_steps = [tree for tree in objects if set(tree) & {"pipeline", "steps", "workflow", "jobs", "tasks"}]
    if len(trees) < 2 or len(objects) != len(trees) or len(with_steps) != 1 or len(set(keys)) != len(keys):
        return trees
    joined = Object(place=objects[0].place)
    for tree in objects:
        joined.update(tree)
        joined.places |= tree.places
    return [joined]


def _settle(work: Work, answers: Answers) -> None:
    """Normalises the draft, and again after each answer."""
    for _ in range(ANSWER_ROUNDS):
        normalise(work)
        answered = False
        for ask in list(work.draft.asks):
            option = answers.option(ask)
            if option is not None:
                work.draft.asks.remove(ask)
                work.draft.take(option)
                answered = True
        if not answered:
            return


def _expand(draft: Draft, reading: Reading) -> None:
    for place in reading.aliases[:1]:
        draft.note("Writes out what an alias of YAML repeats.", place)


def _duplicates(draft: Draft, duplicates: list[Duplicate], prefix: str) -> None:
    """Keys that were written twice: equal values are one; of two values, the caller decides."""
    inside = _containers(draft.root)
    for number, duplicate in enumerate(duplicate for duplicate in duplicates if id(duplicate.parent) in inside):
        key, last = duplicate.key, duplicate.parent[duplicate.key]
        if plain(duplicate.first) == plain(last):
            draft.note(f"Removes the second `{key}`, which has the same value.", duplicate.place)
        elif isinstance(duplicate.first, Object) and isinstance(last, Object) and not set(duplicate.first) & set(last):
            draft.put(duplicate.parent, key, duplicate.first | last, f"Joins the two objects `{key}`.", ASSUMED)
        elif isinstance(duplicate.first, Array) and isinstance(last, Array):
            both = [*duplicate.first, *last]
            draft.put(duplicate.parent, key, both, f"Joins the two lists `{key}`.", ASSUMED)
        else:
            options = [
                Option("last", f"the second one: {_short(last)}", [(duplicate.parent, key, last)]),
                Option(
                    "first", f"the first one: {_short(duplicate.first)}", [(duplicate.parent, key, duplicate.first)]
                ),
            ]
            suffix = f":{number}" if number else ""
            text = f"`{key}` is written twice, also in line {duplicate.place.line}. Which one is meant?"
            draft.ask(Ask(f"{prefix}duplicate:{key}{suffix}", text, options, "last"))


def _short(value: Any) -> str:
    text = str(plain(value))
    return text if len(text) <= 60 else text[:59] + "…"


def _containers(root: Any) -> set[int]:
    found: set[int] = set()
    stack = [root]
    while stack:
        value = stack.pop()
        if isinstance(value, dict | list):
            found.add(id(value))
            stack.extend(value.values() if isinstance(value, dict) else value)
    return found
