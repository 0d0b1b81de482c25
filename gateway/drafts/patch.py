"""Applies JSON Patch operations to the tree of a draft, and records them as one change."""

from collections.abc import Mapping, Sequence
from typing import Any

import jsonpatch
import jsonpointer

from gateway.drafts.draft import CERTAIN, Draft
from gateway.drafts.tree import Array, Object, plain, tree_of
from ordinaut.v1.draft_pb2 import Certainty


def apply_patch(
    draft: Draft,
    operations: Sequence[Mapping[str, Any]],
    why: str,
    certainty: Certainty.ValueType = CERTAIN,
) -> bool:
    """Applies operations to the root of the draft; False, and no change, if one does not fit or nothing changes."""
    before = plain(draft.root)
    try:
        if jsonpatch.apply_patch(before, operations) == before:
            return False
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException):
        return False
    for operation in operations:
        _apply(draft, operation, why, certainty)
    return True


def _apply(draft: Draft, operation: Mapping[str, Any], why: str, certainty: Certainty.ValueType) -> None:
    kind = operation["op"]
    parent, key = _located(draft.root, str(operation["path"]))
    if kind == "remove":
        draft.remove(parent, key, why, certainty)
    elif kind == "replace":
        draft.put(parent, key, operation["value"], why, certainty)
    elif kind == "add":
        _add(draft, parent, key, operation["value"], why, certainty)
    elif kind == "move":
        source, old = _located(draft.root, str(operation["from"]))
        if isinstance(source, Object) and source is parent:
            parent.pop(key, None) if key != old else None
            draft.rename(source, old, key, why, certainty)
        elif isinstance(source, Object) and isinstance(parent, Object):
            draft.move(source, old, parent, key, why, certainty)
        else:
            value = source[old]
            draft.remove(source, old, why, certainty)
            _add(draft, parent, key, value, why, certainty)
    elif kind == "copy":
        source, old = _located(draft.root, str(operation["from"]))
        _add(draft, parent, key, plain(source[old]), why, certainty)


def _add(draft: Draft, parent: Any, key: Any, value: Any, why: str, certainty: Certainty.ValueType) -> None:
    if isinstance(parent, Array):
        place = parent.place_of(key)
        parent.insert(key, tree_of(value, place))
        if parent.places:
            parent.places.insert(key, place)
        draft.put(parent, key, parent[key], why, certainty)
        return
    draft.put(parent, key, value, why, certainty)


def _located(root: Any, pointer: str) -> tuple[Any, Any]:
    """The container and the key that a JSON pointer names."""
    *keys, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    value = root
    for key in keys:
        value = value[_index(value, key)]
    return value, _index(value, last)


def _index(value: Any, key: str) -> Any:
    return key if not isinstance(value, Array) else len(value) if key == "-" else int(key)
