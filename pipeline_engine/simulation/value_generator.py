"""Values that a JSON Schema allows, drawn with a seed: enough of the language for what tools say about their answers.

What is not understood shows when the value is held against the schema; the caller is then told which keyword it was.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any
from uuid import UUID

MAX_DEPTH = 12
"""References may go round in circles: below this everything is as small as it can be, and far below it is null."""
MAX_PARTS = 1000
"""Of one value: those that come after them are as small as they can be too, and much later ones are null."""
MAX_LENGTH = 1000
"""Of a text or a list, whatever is asked for."""
LARGEST = 2**52
"""Beyond it multiples cannot be told apart any more."""
SPREAD = 100
"""Of numbers that are bounded on one side at most."""
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbour", "iris", "juniper")
FORMATS: Mapping[str, Callable[[Random], str]] = {
    "date-time": lambda chance: f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T09:30:00Z",
    "date": lambda chance: f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
    "time": lambda chance: f"{chance.randint(0, 23):02}:30:00Z",
    "duration": lambda chance: f"PT{chance.randint(1, 90)}M",
    "email": lambda chance: f"{chance.choice(WORDS)}@example.com",
    "hostname": lambda chance: f"{chance.choice(WORDS)}.example.com",
    "uri": lambda chance: f"https://example.com/{chance.choice(WORDS)}",
    "uuid": lambda chance: str(UUID(int=chance.getrandbits(128), version=4)),
    "ipv4": lambda chance: f"192.0.2.{chance.randint(1, 254)}",
    "ipv6": lambda chance: f"2001:db8::{chance.randint(1, 9999):x}",
}
KINDS = ("object", "array", "string", "number", "integer", "boolean", "null")
TELLING = {
    "object": ("properties", "required", "additionalProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("format", "minLength", "maxLength", "pattern"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""Keywords by which a schema without `type` tells what it means."""
COMPOSED = frozenset({"$ref", "allOf", "anyOf", "oneOf"})
Schema = Mapping[str, Any]


def generate(schema: Any, seed: str) -> Any:
    """A value for the schema, the same for the same seed; whether it fits is for the caller to check."""
    return _Drawing(schema, Random(seed)).value(schema, 0)  # noqa: S311 - made-up data, no secret


class _Drawing:
    def __init__(self, root: Any, chance: Random) -> None:
        self._root = root
        self._chance = chance
        self._parts = 0

    def value(self, schema: Any, depth: int) -> Any:
        """One value; those that the schema names itself come first."""
        self._parts += 1
        if depth > 2 * MAX_DEPTH or self._parts > 2 * MAX_PARTS:
            return None
        if not isinstance(schema, Mapping):
            return {}
        schema = self._composed(schema)
        named = _named(schema)
        if named:
            return self._chance.choice(named)
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
                return self._chance.random() < 0.5
            case "null":
                return None
        return self._number(schema, whole=kind == "integer")

    def _composed(self, schema: Schema) -> Schema:
        """With references followed, one of the alternatives chosen, and all parts laid over each other."""
        for _ in range(MAX_DEPTH):
            parts = [self._target(str(schema["$ref"]))] if "$ref" in schema else []
            parts.extend(schema.get("allOf") or ())
            parts.extend(self._chance.choice(schema[key]) for key in ("anyOf", "oneOf") if schema.get(key))
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

    def _is_late(self, depth: int) -> bool:
        return depth >= MAX_DEPTH or self._parts > MAX_PARTS

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        known = schema.get("properties") or {}
        required = list(schema.get("required") or ())
        names = required if self._is_late(depth) else list(dict.fromkeys([*known, *required]))
        return {name: self.value(known.get(name, schema.get("additionalProperties")), depth + 1) for name in names}

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        first, items = schema.get("prefixItems") or [], schema.get("items", {})
        least, most = int(schema.get("minItems") or 0), int(schema.get("maxItems", MAX_LENGTH))
        wanted = least if self._is_late(depth) else max(least, len(first), self._chance.randint(1, 3))
        count = min(wanted, most, len(first) if items is False else MAX_LENGTH)
        return [self.value(first[place] if place < len(first) else items, depth + 1) for place in range(count)]

    def _string(self, schema: Schema) -> str:
        made = FORMATS.get(str(schema.get("format")))
        text = made(self._chance) if made else self._chance.choice(WORDS)
        while len(text) < min(int(schema.get("minLength") or 0), MAX_LENGTH):
            text += f" {self._chance.choice(WORDS)}"
        return text[: int(schema.get("maxLength", MAX_LENGTH))]

    def _number(self, schema: Schema, *, whole: bool) -> float:
        """A multiple of `multipleOf` inside of the bounds; a quarter is fine enough for other numbers."""
        step: float = schema.get("multipleOf") or (1 if whole else 0.25)
        low: float = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
        high: float = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
        if math.isinf(low):
            low = min(0, high - SPREAD)
        high = min(high, low + SPREAD * step)
        if max(abs(low), abs(high), step) / min(step, 1) > LARGEST:
            return low
        first, last = math.ceil(low / step), math.floor(high / step)
        first += first * step == schema.get("exclusiveMinimum")
        last -= last * step == schema.get("exclusiveMaximum")
        if first > last:
            return low + (high - low) / 2
        found = self._chance.randint(first, last) * step
        return int(found) if whole or found == int(found) else found


def _named(schema: Schema) -> Sequence[Any]:
    """The values that the schema names itself."""
    if "const" in schema:
        return [schema["const"]]
    for keyword in ("examples", "enum"):
        if isinstance(schema.get(keyword), list) and schema[keyword]:
            return list(schema[keyword])
    return [schema["default"]] if "default" in schema else []


def _kind(schema: Schema) -> str:
    """The type of the value to be; `null` only when nothing else is allowed."""
    named = schema.get("type")
    kinds = [named] if isinstance(named, str) else [kind for kind in named or () if kind != "null"] or ["null"]
    if named is not None:
        return kinds[0] if kinds[0] in KINDS else "object"
    return next((kind for kind, keywords in TELLING.items() if any(key in schema for key in keywords)), "object")


def _merged(parts: Sequence[Schema]) -> Schema:
    """One schema that asks for what all of them ask for, as far as they speak of different things."""
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
