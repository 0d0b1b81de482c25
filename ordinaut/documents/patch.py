"""Applies a JSON Patch (RFC 6902) of the operations that fixes have: add, replace, remove and move."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from ordinaut.documents.pointers import words_of

Operation = Mapping[str, Any]


class PatchError(ValueError):
    """An operation does not fit the document."""


def patched(document: Any, operations: Sequence[Operation]) -> Any:
    """Returns a changed copy of a JSON document.

    Raises:
        PatchError: a place does not exist.
    """
    root = [copy.deepcopy(document)]
    for operation in operations:
        try:
            _apply(root, operation)
        except (KeyError, IndexError, TypeError, ValueError) as failure:
            raise PatchError(f"{operation.get('op')} {operation.get('path')} does not fit the document") from failure
    return root[0]


def _apply(root: list[Any], operation: Operation) -> None:
    kind, parent, key = operation["op"], *_place(root, operation["path"])
    if kind in {"remove", "replace"}:
        parent[key]  # it must exist
    match kind:
        case "remove":
            del parent[key]
        case "replace":
            parent[key] = copy.deepcopy(operation["value"])
        case "add":
            _add(parent, key, copy.deepcopy(operation["value"]))
        case "move":
            source, name = _place(root, operation["from"])
            value = source.pop(name)
            _add(*_place(root, operation["path"]), value)
        case _:
            raise ValueError(kind)


def _add(parent: Any, key: Any, value: Any) -> None:
    if isinstance(parent, list):
        if key > len(parent):
            raise IndexError(key)
        parent.insert(key, value)
    else:
        parent[key] = value


def _place(root: list[Any], pointer: str) -> tuple[Any, Any]:
    """The container and the key of a place; the document itself is the only element of `root`."""
    container: Any = root
    key: Any = 0
    for word in words_of(pointer):
        container = container[key]
        key = _key(container, word)
    return container, key


def _key(container: Any, word: str) -> Any:
    if isinstance(container, dict):
        return word
    if not isinstance(container, list):
        raise TypeError(word)
    return len(container) if word == "-" else int(word)


def renames(operations: Sequence[Operation]) -> list[tuple[str, str]]:
    """The pointers from and to which a fix moves values; empty if it also does something else.

    >>> renames([{"op": "move", "from": "/use", "path": "/uses"}])
    [('/use', '/uses')]
    """
    moves = [(str(each["from"]), str(each["path"])) for each in operations if each["op"] == "move"]
    return moves if len(moves) == len(operations) else []


def rank(operations: Sequence[Operation]) -> tuple[int, int]:
    """The place of a fix among the fixes of one answer, all of which have pointers into the original document.

    An element that is removed changes the pointers of those after it, and a renamed key those of everything below it:
    elements are removed from the last one on, and renaming comes last, the deepest place first.
    """
    if moves := renames(operations):
        return 2, -max(source.count("/") for source, _ in moves)
    removed = [str(each["path"]).rpartition("/")[2] for each in operations if each["op"] == "remove"]
    return (1, -int(removed[0])) if removed and removed[0].isdecimal() else (0, 0)


def with_prefix(pointer: str, old: str, new: str) -> str:
    """The pointer with its prefix `old` replaced, if it is at or below `old`.

    >>> with_prefix("/a/b", "/a", "/c"), with_prefix("/ab", "/a", "/c")
    ('/c/b', '/ab')
    """
    return new + pointer[len(old) :] if pointer == old or pointer.startswith(f"{old}/") else pointer
