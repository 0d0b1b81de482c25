"""Messages as documents: reads what people write (YAML, JSON), with durations as they write them, and writes it.

Every problem is found at once, with its path; nothing is rounded or dropped silently.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ordinaut.client.durations import proto_duration

Target = TypeVar("Target", bound=Message)
EXACT_INTEGER = 2**53  # from here on a JSON number may lose digits
FREE_JSON = frozenset({"google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"})
DURATION = "google.protobuf.Duration"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that cannot be read: `path` leads to it, `message` says what is expected."""

    path: str
    message: str


class DocumentError(ValueError):
    """A document is not of its message's type."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.path}: {problem.message}" for problem in problems))
        self.problems = problems


def read(document: Mapping[str, Any], message: Target, path: str = "") -> Target:
    """Fills `message` from a proto3-JSON document, in either spelling of the field names, and returns it.

    `path` is where the document stands in the request, for the problems' paths.

    Raises:
        DocumentError: with every problem.
    """
    problems: list[Problem] = []
    prepared = _object(document, message.DESCRIPTOR, path, problems)
    if problems:
        raise DocumentError(problems)
    try:
        return json_format.ParseDict(prepared, message)
    except json_format.ParseError as failure:
        raise DocumentError([Problem(path or "document", str(failure))]) from None


def written(message: Message) -> dict[str, Any]:
    """A message as proto3 JSON with the protos' own field names; whole numbers of free JSON are integers."""
    document: dict[str, Any] = whole(json_format.MessageToDict(message, preserving_proto_field_name=True))
    return document


def whole(value: Any) -> Any:
    """JSON whose numbers without a fraction are integers: Struct knows floats only."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _object(document: Any, descriptor: Any, path: str, problems: list[Problem]) -> Any:
    if not isinstance(document, Mapping):
        problems.append(Problem(path or "document", "must be an object"))
        return document
    prepared = {}
    for key, value in document.items():
        field = _field(descriptor, key)
        place = f"{path}.{key}" if path else str(key)
        if field is None:
            problems.append(Problem(place, _unknown(descriptor, str(key))))
        else:
            prepared[key] = _value(value, field, place, problems)
    return prepared


def _value(value: Any, field: FieldDescriptor, path: str, problems: list[Problem]) -> Any:
    descriptor = field.message_type
    if descriptor is None or value is None or descriptor.GetOptions().map_entry:
        return value
    if field.is_repeated and isinstance(value, list):
        return [_single(item, descriptor, f"{path}[{place}]", problems) for place, item in enumerate(value)]
    return _single(value, descriptor, path, problems)


def _single(value: Any, descriptor: Any, path: str, problems: list[Problem]) -> Any:
    if descriptor.full_name in FREE_JSON:
        problems.extend(_not_json(value, path))
        return value
    if descriptor.full_name == DURATION:
        return _duration(value, path, problems)
    if descriptor.full_name.startswith("google.protobuf."):
        return value
    return _object(value, descriptor, path, problems)


def _duration(value: Any, path: str, problems: list[Problem]) -> Any:
    read_as = proto_duration(value) if isinstance(value, str) else None
    if read_as is None:
        problems.append(Problem(path, f"{value!r} is not a duration: write 90s, 5m, 1h30m, 7d or PT1H"))
    return read_as


def _not_json(value: Any, path: str) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                yield Problem(path, f"the key {key!r} must be a text: put it in quotes")
            yield from _not_json(item, f"{path}.{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _not_json(item, f"{path}[{place}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(path, "must be a finite number")
    elif isinstance(value, int) and abs(value) >= EXACT_INTEGER:
        yield Problem(path, "an integer this large loses digits in JSON: put it in quotes")


def _field(descriptor: Any, key: Any) -> FieldDescriptor | None:
    return next((field for field in descriptor.fields if key in {field.name, field.json_name}), None)


def _unknown(descriptor: Any, key: str) -> str:
    close = get_close_matches(key, [field.name for field in descriptor.fields], n=1)
    return f"there is no such field{f'; did you mean {close[0]}?' if close else ''}"
