"""Conditions on events: `when` of a trigger, and `match` of `orchestrator.wait_event`.

The fields of the event are root names of such a condition. A `match` may also read the names of its run: their values
are bound when the wait starts, so that no value can become part of the expression.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ordinaut.expressions.compare import equal, require_one_type
from ordinaut.expressions.errors import ExpressionError, FuelError, Kind
from ordinaut.expressions.expression import Expression, compile_expression
from ordinaut.expressions.paths import Key
from ordinaut.expressions.rename import renamed
from ordinaut.expressions.semantics import CURRENT, FIRST

EVENT_FIELDS = {
    "name": "string",
    "position": "number",
    "topic": "string",
    "source": "string",
    "subject": "string",
    "id": "string",
    "data": "object",
    "publish_time": "string",
    "publisher": "string",
    "depth": "number",
}
"""The root names of a condition, with their JSON types."""
Problem = tuple[str, str | None]
"""A message, and the repaired expression where the intention is certain."""
MAX_CONDITION_LENGTH = 1024
"""Characters of one condition."""
MAX_CONDITION_NODES = 100
CONDITION_FUEL = 5000
"""Fuel of one evaluation of a condition, see `bounds`; usual conditions take less than 100."""
MAX_CONSTANT_LENGTH = 256
_CONSTANT = re.compile(r"(?:[^()\[\]{}@*]|\[-?\d{1,9}\])*")


def refuse_size(expression: Expression) -> None:
    """Checks the size of a condition.

    Raises:
        ExpressionError: more than 1024 characters or 100 nodes.
    """
    for what, size, most in (
        ("characters", len(expression.text), MAX_CONDITION_LENGTH),
        ("nodes", expression.nodes, MAX_CONDITION_NODES),
    ):
        if size > most:
            raise ExpressionError(Kind.LIMIT, f"a condition must have at most {most} {what} (got {size})")


def is_constant(text: str) -> bool:
    """Whether a condition has a small cost for every event: only paths, comparisons, literals and logic.

    It is recognised without parsing; False also for some conditions with quoted brackets.

    >>> is_constant("data.total > `100` && data.lines[0].sku == 'A-7'"), is_constant("length(data.lines) > `3`")
    (True, False)
    """
    return len(text) <= MAX_CONSTANT_LENGTH and _CONSTANT.fullmatch(text) is not None


def is_constant_match(stored: Any) -> bool:
    """The same for a stored `match`: the list of `bound_match`, or the `match` alone of an earlier release."""
    match = stored[1] if isinstance(stored, list) else stored
    return all(map(is_constant, [match] if isinstance(match, str) else match))


def reads_event(expression: Expression) -> bool:
    """Whether the expression reads a field of the event.

    >>> reads_event(compile_expression("data.n > 5")), reads_event(compile_expression("params.open"))
    (True, False)
    """
    return any(path[0] in EVENT_FIELDS for path in (*expression.references, *expression.inner_references))


def event_problem(text: str, path: Sequence[Key]) -> Problem | None:
    """What is wrong with a path of a condition that starts with `event`, or continues behind a field that is no object.

    >>> event_problem("event.data.n == 5", ("event", "data", "n"))
    ('the fields of the event are root names of this condition: write `data` instead of `event.data`', 'data.n == 5')
    """
    root, *rest = path
    if root == "event":
        field = next((key for key in rest[:1] if key in EVENT_FIELDS), None)
        hint = f"write `{field}` instead of `event.{field}`" if field else f"they are {', '.join(EVENT_FIELDS)}"
        message = f"the fields of the event are root names of this condition: {hint}"
        return message, renamed(text, ["event", str(field)], [str(field)]) if field else None
    kind = EVENT_FIELDS.get(str(root), "object")
    if rest and kind != "object":
        return f"`{root}` of an event is a {kind} and has no `{rest[0]}`", None
    return None


def when_problems(text: str) -> list[Problem]:
    """The problems of the `when` of a trigger: names that an event does not have.

    Raises:
        ExpressionError: the expression cannot be parsed, or is too large.
    """
    problems: dict[str, str | None] = {}
    expression = compile_expression(text)
    refuse_size(expression)
    for path in expression.references:
        problem = event_problem(text, path) or _unknown_root(text, path)
        if problem is not None:
            problems[problem[0]] = problem[1]
    return list(problems.items())


def _unknown_root(text: str, path: Sequence[Key]) -> Problem | None:
    root = str(path[0])
    if root in EVENT_FIELDS:
        return None
    roots = f"root names: {', '.join(EVENT_FIELDS)}"
    if root in _OF_RUNS:
        return f"`{root}` does not exist before the run starts; {roots}", None
    near = get_close_matches(root.lower(), EVENT_FIELDS, 1)
    right = near or ["data", root[:64]]
    return f"unknown root name `{root[:64]}`; did you mean `{'.'.join(right)}`? {roots}", renamed(text, [root], right)


_OF_RUNS = frozenset({"params", "steps", "run", "now", "step", "item", "index", "secrets", "error"})


def bound_match(match: str | Mapping[str, Any], roots: Mapping[str, Any]) -> list[Any]:
    """Returns a `match` as it is stored with its wait: `[revision, match, bound values]`.

    `match` is an expression, or expressions with the values that they must have. Only the values that it reads are
    bound.

    >>> bound_match("data.order == params.order", {"params": {"order": "A-7", "city": "Porto"}})
    [2, 'data.order == params.order', {'params': {'order': 'A-7'}}]

    Raises:
        ExpressionError: an expression cannot be parsed.
    """
    bound: dict[str, Any] = {}
    for text in [match] if isinstance(match, str) else match:
        expression = compile_expression(text)
        _bind((*expression.references, *expression.inner_references), roots, bound)
    return [CURRENT, match, bound]


def _bind(paths: Iterable[Sequence[Key]], roots: Mapping[str, Any], bound: dict[str, Any]) -> None:
    for path in paths:
        if path[0] in EVENT_FIELDS:
            continue
        source: Any = roots
        target: Any = bound
        for place, key in enumerate(path):
            if type(key) is not str or type(source) is not dict or key not in source:
                break
            source = source[key]
            is_last = place + 1 == len(path) or type(path[place + 1]) is not str or type(source) is not dict
            if is_last or target.get(key) is source:
                target[key] = source
                break
            target = target.setdefault(key, {})


class _Meter:
    """What remains of the fuel of a condition that consists of several expressions."""

    __slots__ = ("remaining",)

    def __init__(self, fuel: int) -> None:
        self.remaining = fuel

    def spend(self, fuel: int) -> None:
        """Charges the cost of one expression."""
        self.remaining -= fuel


def matches_event(stored: Any, event: Mapping[str, Any], fuel: int = CONDITION_FUEL) -> bool:
    """Whether an event matches a stored `match`: the list of `bound_match`, or the `match` alone of an earlier release.

    >>> stored = bound_match({"data.order": "A-7"}, {})
    >>> matches_event(stored, {"data": {"order": "A-7"}}), matches_event(stored, {"data": {}})
    (True, False)

    Raises:
        ExpressionError: the condition cannot be evaluated on this event, for example because types differ.
        FuelError: its evaluation takes more than `fuel`.
    """
    semantics, match, bound = stored if isinstance(stored, list) else (FIRST, stored, {})
    roots = {**bound, **event}
    if isinstance(match, str):
        return compile_expression(match, semantics=semantics).holds(roots, None, fuel)
    meter = _Meter(fuel)
    for text, expected in match.items():
        meter.spend(1)
        actual = compile_expression(text, semantics=semantics).evaluate(roots, meter, max(meter.remaining, 0))
        if meter.remaining < 0:
            raise FuelError(f"the condition exceeds {fuel} element visits: compare fewer values")
        if not _is_expected(actual, expected, semantics):
            return False
    return True


def _is_expected(actual: Any, expected: Any, semantics: int) -> bool:
    if semantics > FIRST:
        require_one_type(actual, expected)
    return equal(actual, expected)
