"""The property of fixes: each one alone, and all of one answer in their order, make the request better only."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from jsonpatch import JsonPatch, JsonPatchException
from jsonpointer import JsonPointerException

Problem = tuple[str, str, str]
"""Field, reason and message."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a request gets: its problems (none when it is accepted), and the fixes in their order."""

    problems: list[Problem]
    fixes: list[tuple[str, list[Any]]]
    code: str = ""
    complete: bool = True
    warnings: list[str] = field(default_factory=list)


Send = Callable[[Any], Awaitable[Outcome]]


async def broken_promises(body: Any, send: Send) -> tuple[Outcome, list[str]]:
    """The outcome of a body, and how its fixes break the promise."""
    outcome = await send(body)
    if not outcome.problems:
        return outcome, await _broken_advice(body, outcome, send)
    found: list[str] = []
    for name, operations in outcome.fixes:
        found += [f"{name}: {text}" for text in await _broken(body, outcome, [(name, operations)], send)]
    if len(outcome.fixes) > 1:
        found += [f"all fixes: {text}" for text in await _broken(body, outcome, outcome.fixes, send)]
    return outcome, found


async def _broken(body: Any, before: Outcome, fixes: list[Any], send: Send) -> list[str]:
    operations = [operation for _, part in fixes for operation in part]
    try:
        changed = JsonPatch(operations).apply(body)
    except (JsonPatchException, JsonPointerException, KeyError, TypeError) as failure:
        return [f"does not fit the body: {failure!r} {operations}"]
    if changed == body:
        return [f"changes nothing: {operations}"]
    after = await send(changed)
    if not (before.complete and after.complete):
        return []
    found = []
    for name, part in fixes:
        messages = {message for where, _, message in before.problems if where == name}
        left = {message for where, _, message in after.problems if where == name}
        moves = [operation for operation in part if operation["op"] == "move"]
        if messages and messages <= left:
            found.append(f"the violation stays: {name} {messages} {part}")
        if not moves and any(offered == [name, part] for offered in map(list, after.fixes)):
            found.append(f"is offered again: {name} {part}")
    known = Counter((_canonical(where, operations), reason) for where, reason, _ in before.problems)
    new = Counter((_canonical(where, operations), reason) for where, reason, _ in after.problems) - known
    return [*found, *(f"a new violation: {item} after {operations}" for item in new)]


def _canonical(path: str, operations: list[Any]) -> tuple[str, ...]:
    """The words of a path with the new names of keys that were renamed; bodies may lack the first word, the wrapper."""
    words = tuple(word.strip("'").replace("/", "|") for word in re.split(r"\.|\[|\]\.?", path) if word)
    for operation in operations:
        if operation["op"] == "move":
            old, new = (_words(operation[key]) for key in ("from", "path"))
            for start in (0, 1):
                if words[start : start + len(old)] == old:
                    words = (*words[:start], *new, *words[start + len(old) :])
    return words


def _words(pointer: str) -> tuple[str, ...]:
    parts = (word.replace("~1", "|").replace("~0", "~") for word in pointer.split("/")[1:])
    return tuple(word for part in parts for word in part.split(".") if word)


async def _broken_advice(body: Any, outcome: Outcome, send: Send) -> list[str]:
    """The fixes of warnings: the warning is gone, and the request is still accepted."""
    found = []
    for name, operations in outcome.fixes:
        try:
            changed = JsonPatch(operations).apply(body)
        except (JsonPatchException, JsonPointerException, KeyError, TypeError) as failure:
            found.append(f"advice does not fit the body: {failure!r} {operations}")
            continue
        after = await send(changed)
        if after.problems:
            found.append(f"advice is refused: {operations} {after.problems}")
        elif any(offered == (name, operations) for offered in after.fixes):
            found.append(f"advice is offered again: {operations}")
    return found
