"""Paths of constant keys, the most frequent expressions, evaluated without a scope."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ordinaut.expressions.errors import ExpressionError, Kind

Node = Mapping[str, Any]
Key = str | int


def static_path(node: Node) -> tuple[Key, ...] | None:
    """The keys of a path such as `a.b[0].c`; None for any other node."""
    keys: list[Key] = []
    stack = [node]
    while stack:
        part = stack.pop()
        if part["type"] in {"subexpression", "index_expression"}:
            stack.extend(reversed(part["children"]))
        elif part["type"] in {"field", "index"}:
            keys.append(part["value"])
        else:
            return None
    return tuple(keys)


def lenient_path(path: tuple[Key, ...]) -> Callable[[Any], Any]:
    """Returns a function that follows a path; a missing key gives null."""

    def walk(value: Any) -> Any:
        for key in path:
            kind = type(value)
            if kind is dict and type(key) is str:
                value = value.get(key)
            elif kind is list and type(key) is int and -len(value) <= key < len(value):
                value = value[key]
            else:
                return None
        return value

    return lambda roots: walk(roots if type(roots) is dict or type(roots) is list else None)


def strict_path(path: tuple[Key, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """Returns a function that follows a path; a missing key raises an ExpressionError with a hint."""

    def walk(roots: Mapping[str, Any]) -> Any:
        value: Any = roots
        for place, key in enumerate(path):
            kind = type(value)
            if (kind is dict and type(key) is str and key in value) or (
                kind is list and type(key) is int and -len(value) <= key < len(value)
            ):
                value = value[key]
            else:
                raise missing(path, place, value)
        return value

    return walk


def missing(path: Sequence[Key], place: int, value: Any) -> ExpressionError:
    """The error for a path with a missing key at index `place`: what exists there, and how to allow it."""
    whole, parent = path_text(path), path_text(path[:place]) or "the roots"
    if value is None:
        there = f"{parent} is null"
    elif type(value) is dict:
        names = ", ".join(list(value)[:8])
        there = f"{parent} has {names}" if names else f"{parent} is empty"
    elif type(value) is list:
        there = f"{parent} has {len(value)} elements"
    else:
        there = f"{parent} is not an object"
    return ExpressionError(
        Kind.MISSING, f"{whole} does not exist: {there[:300]}; use default({whole}, …) if it may be missing"
    )


def path_text(path: Sequence[Key]) -> str:
    """A path in the syntax of expressions.

    >>> path_text(["steps", "days", 0, "t"])
    'steps.days[0].t'
    """
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")
