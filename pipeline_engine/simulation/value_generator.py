"""Generates random values for a JSON Schema, reproducibly by seed.

It supports the keywords that output schemas of tools usually contain. A value that violates an unsupported keyword is
detected when the caller validates the value, and the caller reports the keyword.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any
from uuid import UUID

MAX_DEPTH = 12
"""References may be recursive: below this depth, values are as small as possible; below twice of it, they are null."""
MAX_PARTS = 1000
"""After this many parts of one value, further ones are as small as possible; after twice of it, they are null."""
MAX_LENGTH = 1000
"""Maximum length of a string or a list, even if the schema requires more."""
LARGEST = 2**52
"""Above it, a double cannot represent adjacent multiples of a step."""
SPREAD = 100
"""Range of numbers that have at most one bound, in steps."""
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbour", "iris", "juniper")
FORMATS: Mapping[str, Callable[[Random], str]] = {
    "date-time": lambda random: f"2026-{random.randint(1, 12):02}-{random.randint(1, 28):02}T09:30:00Z",
    "date": lambda random: f"2026-{random.randint(1, 12):02}-{random.randint(1, 28):02}",
    "time": lambda random: f"{random.randint(0, 23):02}:30:00Z",
    "duration": lambda random: f"PT{random.randint(1, 90)}M",
    "email": lambda random: f"{random.choice(WORDS)}@example.com",
    "hostname": lambda random: f"{random.choice(WORDS)}.example.com",
    "uri": lambda random: f"https://example.com/{random.choice(WORDS)}",
    "iri": lambda random: f"https://example.com/{random.choice(WORDS)}",
    "json-pointer": lambda random: f"/{random.choice(WORDS)}",
    "relative-json-pointer": lambda random: f"{random.randint(0, 9)}/{random.choice(WORDS)}",
    "idn-email": lambda random: f"{random.choice(WORDS)}@example.com",
    "uuid": lambda random: str(UUID(int=random.getrandbits(128), version=4)),
    "ipv4": lambda random: f"192.0.2.{random.randint(1, 254)}",
    "ipv6": lambda random: f"2001:db8::{random.randint(1, 9999):x}",
}
KINDS = ("object", "array", "string", "number", "integer", "boolean", "null")
TYPICAL_KEYWORDS = {
    "object": ("properties", "required", "additionalProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("format", "minLength", "maxLength", "pattern"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""Keywords from which the type of a schema without `type` is inferred."""
COMPOSED = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
Schema = Mapping[str, Any]


def generate(schema: Any, seed: str) -> Any:
    """Returns a value for the schema, the same for the same seed; the caller checks whether it is valid.

    >>> generate({"type": "integer", "minimum": 3, "maximum": 3}, "seed")
    3
    """
    return _Generator(schema, Random(seed)).value(schema, 0)  # noqa: S311 - sample data, not a secret


class _Generator:
    def __init__(self, root: Any, random: Random) -> None:
        self._root = root
        self._random = random
        self._parts = 0

    def value(self, schema: Any, depth: int) -> Any:
        """Returns one value; values that the schema contains are preferred."""
        self._parts += 1
        if depth > 2 * MAX_DEPTH or self._parts > 2 * MAX_PARTS:
            return None
        if not isinstance(schema, Mapping):
            return {}
        schema = self._composed(schema)
        examples = _examples(schema)
        if examples:
            return self._random.choice(examples)
        match _kind(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case kind:
                return self._scalar(kind, schema)

    def _scalar(self, kind: str, schema: Schema) -> Any:
        match kind:
            case "string":
                return self._string(schema)
            case "boolean":
                return self._random.random() < 0.5
            case "null":
                return None
        return self._number(schema, whole=kind == "integer")

    def _composed(self, schema: Schema) -> Schema:
        """Returns the schema with references resolved, one alternative chosen, and all parts merged."""
        for _ in range(MAX_DEPTH):
            parts = [self._target(str(schema["$ref"]))] if "$ref" in schema else []
            parts.extend(schema.get("allOf") or ())
            parts.extend(self._random.choice(schema[key]) for key in ("anyOf", "oneOf") if schema.get(key))
            if not parts:
                break
            parts.append({key: value for key, value in schema.items() if key not in COMPOSED})
            schema = _merged([part for part in parts if isinstance(part, Mapping)])
        return schema

    def _target(self, reference: str) -> Any:
        node = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            else:
                node = node.get(key) if isinstance(node, Mapping) else None
        return node

    def _is_minimal(self, depth: int) -> bool:
        return depth >= MAX_DEPTH or self._parts > MAX_PARTS

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = list(schema.get("required") or ())
        names = required if self._is_minimal(depth) else list(dict.fromkeys([*properties, *required]))
        default = schema.get("additionalProperties")
        return {name: self.value(properties.get(name, default), depth + 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        first, items = schema.get("prefixItems") or [], schema.get("items", {})
        if isinstance(items, list):  # the spelling of drafts before 2020-12
            first, items = items, schema.get("additionalItems", {})
        least, most = int(schema.get("minItems") or 0), int(schema.get("maxItems", MAX_LENGTH))
        length = least if self._is_minimal(depth) else max(least, len(first), self._random.randint(1, 3))
        count = min(length, most, len(first) if items is False else MAX_LENGTH)
        return [self.value(first[place] if place < len(first) else items, depth + 1) for place in range(count)]

    def _string(self, schema: Schema) -> str:
        format_value = FORMATS.get(str(schema.get("format")))
        text = format_value(self._random) if format_value else self._random.choice(WORDS)
        while len(text) < min(int(schema.get("minLength") or 0), MAX_LENGTH):
            text += f" {self._random.choice(WORDS)}"
        return text[: int(schema.get("maxLength", MAX_LENGTH))]

    def _number(self, schema: Schema, *, whole: bool) -> float:
        """Returns a multiple of `multipleOf` within the bounds; other numbers are multiples of a quarter."""
        step: float = schema.get("multipleOf") or (1 if whole else 0.25)
        above, below = (_exclusive(schema, bound) for bound in ("Minimum", "Maximum"))
        low: float = max(schema.get("minimum", -math.inf), -math.inf if above is None else above)
        high: float = min(schema.get("maximum", math.inf), math.inf if below is None else below)
        if math.isinf(low):
            low = min(0, high - SPREAD)
        high = min(high, low + SPREAD * step)
        if max(abs(low), abs(high), step) / min(step, 1) > LARGEST:
            return low
        first, last = math.ceil(low / step), math.floor(high / step)
        first += first * step == above
        last -= last * step == below
        if first > last:
            return low + (high - low) / 2
        number = self._random.randint(first, last) * step
        return int(number) if whole or number == int(number) else number


def _exclusive(schema: Schema, bound: str) -> float | None:
    """Returns an exclusive bound; in draft 4, the keyword is a boolean that makes the other bound exclusive."""
    exclusive = schema.get(f"exclusive{bound}")
    if isinstance(exclusive, bool):
        return schema.get(bound.lower()) if exclusive else None
    return exclusive


def _examples(schema: Schema) -> Sequence[Any]:
    """Returns the values that the schema contains."""
    if "const" in schema:
        return [schema["const"]]
    for keyword in ("examples", "enum"):
        if isinstance(schema.get(keyword), list) and schema[keyword]:
            return list(schema[keyword])
    return [schema["default"]] if "default" in schema else []


def _kind(schema: Schema) -> str:
    """Returns the type of the value to generate; `null` only when no other type is allowed."""
    types = schema.get("type")
    kinds = [types] if isinstance(types, str) else [kind for kind in types or () if kind != "null"] or ["null"]
    if types is not None:
        return kinds[0] if kinds[0] in KINDS else "object"
    return next(
        (kind for kind, keywords in TYPICAL_KEYWORDS.items() if any(key in schema for key in keywords)), "object"
    )


def _merged(parts: Sequence[Schema]) -> Schema:
    """Merges schemas; where two define the same keyword, the later one wins, except for objects and `required`."""
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            match merged.get(key), value:
                case dict() as before, dict():
                    merged[key] = {**before, **value}
                case list() as before, list() if key == "required":
                    merged[key] = [*before, *value]
                case _:
                    merged[key] = value
    return merged
