"""JSON Patch as fixes use it: add, remove and replace. Source: RFC 6902, RFC 6901."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any


class PatchError(ValueError):
    """The patch does not fit the document."""


def apply(document: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """A patched copy of a JSON document; the document itself stays as it is.

    Raises:
        PatchError: an operation is not add, remove or replace, or its place does not exist.
    """
    root = {"": deepcopy(document)}  # so that the whole document has a place of its own
    for operation in operations:
        _apply_one(root, operation)
    return root[""]


def pointer_steps(pointer: str) -> list[str]:
    """The steps of a JSON pointer, unescaped.

    Raises:
        PatchError: it does not begin with a slash.
    """
    if pointer and not pointer.startswith("/"):
        raise PatchError(f"not a JSON pointer: {pointer}")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _apply_one(root: dict[str, Any], operation: Mapping[str, Any]) -> None:
    pointer = str(operation.get("path", ""))
    *parents, last = ["", *pointer_steps(pointer)]
    place: Any = root
    for step in parents:
        place = place[_index(place, step, pointer)]
    kind = operation.get("op")
    if kind == "remove":
        del place[_index(place, last, pointer)]
    elif kind == "replace":
        place[_index(place, last, pointer)] = deepcopy(operation["value"])
    elif kind == "add":
        _add(place, last, deepcopy(operation["value"]), pointer)
    else:
        raise PatchError(f"not an operation of a fix: {kind}")


def _add(place: Any, step: str, value: Any, pointer: str) -> None:
    if isinstance(place, list):
        place.insert(len(place) if step == "-" else _number(step, len(place), pointer), value)
    elif isinstance(place, dict):
        place[step] = value
    else:
        raise PatchError(f"no such place: {pointer}")


def _index(place: Any, step: str, pointer: str) -> Any:
    if isinstance(place, list):
        return _number(step, len(place) - 1, pointer)
    if isinstance(place, dict) and step in place:
        return step
    raise PatchError(f"no such place: {pointer}")


def _number(step: str, last: int, pointer: str) -> int:
    plain = step.isascii() and step.isdecimal() and (step == "0" or not step.startswith("0"))
    if not plain or int(step) > last:
        raise PatchError(f"no such place: {pointer}")
    return int(step)
