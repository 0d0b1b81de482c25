"""Follows a path through a JSON Schema: whether a value that matches the schema can have a member there.

A schema is read as alternatives (`anyOf`, `oneOf`, `if`), each of which is a list of schemas that all apply (`allOf`,
`$ref`). A member may exist if one of the alternatives allows it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline_engine.data.schemas import member_at

MAX_ALTERNATIVES = 64
MAX_LEVELS = 16
"""A schema with more alternatives, or with references nested more deeply, is not followed."""
EMBEDDED = "$embedded"
"""The only key of a schema that stands for a complete one: references in that one point into itself."""
Part = tuple[Any, Any]
"""A schema, and the complete schema into which its references point."""
Conjunction = tuple[Part, ...]
"""Schemas that all apply to one value."""


@dataclass(frozen=True, slots=True)
class MissingMember:
    """The key at the index `place` of a path is not in the schema.

    `closed`: no value that matches the schema can have it; otherwise the schema only does not mention it. `names` are
    the members that the schema declares there.
    """

    place: int
    closed: bool
    names: tuple[str, ...]


class _TooComplexError(Exception):
    pass


def missing_member(schema: Any, path: Sequence[str | int]) -> MissingMember | None:
    """Returns the first key of a path that the schema does not declare; None if it declares all or says nothing.

    >>> schema = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
    >>> missing_member(schema, ["town"])
    MissingMember(place=0, closed=True, names=('city',))
    >>> missing_member(schema, ["city"]) is None
    True
    """
    try:
        current = list(_alternatives(((schema, schema),), 0))
        for place, key in enumerate(path):
            following: list[Conjunction] = []
            results = [_step(alternative, key, following) for alternative in current]
            if _DECLARED not in results:
                pairs = zip(current, results, strict=True)
                return _missing(place, [alternative for alternative, result in pairs if result == _OPEN], current)
            current = [part for members in following for part in _alternatives(members, 0)]
    except _TooComplexError:
        return None
    return None


def _missing(place: int, open_ones: Sequence[Conjunction], every: Sequence[Conjunction]) -> MissingMember | None:
    """The result for a key that no alternative declares; None if an open one says nothing about members."""
    if not all(any(_names(alternative)) for alternative in open_ones):
        return None
    names = tuple(dict.fromkeys(name for alternative in every for name in _names(alternative)))
    return MissingMember(place, not open_ones, names)


_DECLARED, _OPEN, _CLOSED = "declared", "open", "closed"


def _step(alternative: Conjunction, key: str | int, following: list[Conjunction]) -> str:
    """Whether values of one alternative can have the member; adds the schemas of the member."""
    results = [(_member(schema, key), root) for schema, root in alternative]
    if any(member == _CLOSED for member, _ in results):
        return _CLOSED
    members = tuple((member, root) for member, root in results if member != _OPEN)
    if not members:
        return _OPEN
    following.append(members)
    return _DECLARED


def _member(schema: Any, key: str | int) -> Any:
    """The schema of a member, or `open` or `closed`."""
    if not isinstance(schema, dict):
        return _CLOSED if schema is False else _OPEN
    kind = "array" if isinstance(key, int) else "object"
    types = schema.get("type", kind)
    if kind not in (types if isinstance(types, list) else [types]):
        return _CLOSED
    return _element(schema, key) if isinstance(key, int) else _property(schema, key)


def _element(schema: Mapping[str, Any], index: int) -> Any:
    leading = schema.get("prefixItems") or []
    if 0 <= index < len(leading):
        return leading[index]
    rest = schema.get("items", True)
    if rest is False:
        return _CLOSED if not leading or index >= len(leading) else _OPEN
    return rest if isinstance(rest, dict) and not (index < 0 and leading) else _OPEN


def _property(schema: Mapping[str, Any], key: str) -> Any:
    properties = schema.get("properties") or {}
    if key in properties:
        return _CLOSED if properties[key] is False else {} if properties[key] is True else properties[key]
    for pattern, member in (schema.get("patternProperties") or {}).items():
        if _may_match(pattern, key):
            return member if isinstance(member, dict) else {}
    rest = schema.get("additionalProperties", schema.get("unevaluatedProperties", True))
    if rest is False:
        return _CLOSED
    return rest if isinstance(rest, dict) else {} if key in (schema.get("required") or ()) else _OPEN


def _may_match(pattern: str, key: str) -> bool:
    try:
        return re.search(pattern, key) is not None
    except re.error:  # the pattern of another dialect
        return True


def _names(alternative: Conjunction) -> Iterator[str]:
    for schema, _ in alternative:
        if isinstance(schema, dict):
            yield from schema.get("properties") or ()
            yield from schema.get("required") or ()


def _alternatives(parts: Conjunction, level: int) -> Iterator[Conjunction]:
    """The alternatives of schemas that all apply, without `$ref`, `allOf`, `anyOf` and `oneOf`."""
    if level > MAX_LEVELS:
        raise _TooComplexError
    combined: list[Conjunction] = [()]
    for schema, root in parts:
        options = [option for choice in _choices(schema, root) for option in _expanded(schema, root, choice, level)]
        combined = [first + second for first in combined for second in options]
        if len(combined) > MAX_ALTERNATIVES:
            raise _TooComplexError
    yield from combined


def _expanded(schema: Any, root: Any, choice: Conjunction, level: int) -> Iterator[Conjunction]:
    if not choice:
        yield ((schema, root),)
        return
    # `unevaluatedProperties` admits what the combined schemas declare, so it closes only a schema without them.
    own = {key: value for key, value in schema.items() if key != "unevaluatedProperties"}
    for option in _alternatives(choice, level + 1):
        yield ((own, root), *option)


def _choices(schema: Any, root: Any) -> Iterator[Conjunction]:
    """The combinations of schemas that apply in addition to a schema itself."""
    if not isinstance(schema, dict):
        yield ()
        return
    always: list[Part] = [(part, root) for part in schema.get("allOf") or ()]
    if EMBEDDED in schema:
        always.append((schema[EMBEDDED], schema[EMBEDDED]))
    if isinstance(reference := schema.get("$ref", schema.get("$dynamicRef")), str):
        always.append((member_at(root, reference[1:]) if reference.startswith("#") else True, root))
    choices: list[Conjunction] = [tuple(always)]
    for options in (schema.get("anyOf"), schema.get("oneOf"), _branches(schema)):
        if options:
            choices = [(*choice, (option, root)) for choice in choices for option in options]
            if len(choices) > MAX_ALTERNATIVES:
                raise _TooComplexError
    yield from choices


def _branches(schema: Mapping[str, Any]) -> list[Any]:
    return [schema.get("then", True), schema.get("else", True)] if "if" in schema else []
