"""Converts proto3 JSON documents to messages. All problems are reported, each with its path; nothing is rounded."""

import re
from collections.abc import Mapping, Set
from contextlib import suppress
from difflib import get_close_matches
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from ordinaut.documents.durations import proto_duration
from ordinaut.documents.free_json import FREE_JSON, fill_free
from ordinaut.documents.invalid_value import InvalidValue
from ordinaut.documents.numbers import SCHEMA_FIELDS
from ordinaut.documents.pointers import key_path, pointer_of
from ordinaut.documents.scalars import kind_of, scalar
from ordinaut.errors import Repair, Violation
from ordinaut.v1.error_pb2 import ErrorReason

PROBLEMS_MAX = 100
KEY_MAX = 100  # characters of an unknown key that are compared with names
SIMILAR = 0.8  # ratio of difflib
MASK_PATH = re.compile(r"(?:`[^`]*`|[^,`])+")
CAPITAL = re.compile("`[^`]*`|[A-Z]")
WRAPPERS = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


def fill(document: Any, message: Message, path: str = "") -> list[Violation]:
    """Fills an empty `message` from a document and returns the problems, at most 100.

    Field names are accepted in both spellings, `snake_case` and `camelCase`. `path` is the path of the document in
    the request. If there are problems, `message` contains what could be read; the value of a misspelled field is read
    into the field that it resembles, so that a method which validates the message reports problems in it too.
    """
    reader = _Reader()
    with suppress(_EnoughError):
        reader.message(document, message, path, 1)
    return reader.violations


def find_field(descriptor: Descriptor, key: str) -> FieldDescriptor | None:
    """The field with this name, in the spelling of the proto or of JSON."""
    return descriptor.fields_by_name.get(key) or descriptor.fields_by_camelcase_name.get(key)


class _EnoughError(Exception):
    """The largest number of problems was found; to find the others could take long."""


def named_field(descriptor: Descriptor, key: str, document: Mapping[Any, Any]) -> FieldDescriptor | None:
    """The field with this name in a document, or the field that a misspelled name is read as."""
    return find_field(descriptor, key) or _intended(descriptor, key, document)


class _Reader:
    """Collects violations while it fills messages; `depth` counts nested messages, because parsers refuse 100."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def message(self, value: Any, message: Any, path: str, depth: int, *, rounds: bool = False) -> None:
        name = message.DESCRIPTOR.full_name
        if isinstance(value, InvalidValue):
            self._add_invalid(path, value)
        elif name in FREE_JSON:
            self._free(value, message, path, depth, rounds=rounds)
        elif name in WRAPPERS:
            self._single(value, message, message.DESCRIPTOR.fields_by_name["value"], path, depth)
        elif name in _TEXTS:
            self._well_known(value, message, path)
        elif isinstance(value, Mapping):
            self._fields(value, message, path, depth)
        else:
            self._add(path, f"must be an object (got {kind_of(value)})")

    def _fields(self, document: Mapping[Any, Any], message: Any, path: str, depth: int) -> None:
        spellings: dict[str, str] = {}
        for key, value in document.items():
            here = key_path(path, str(key))
            field = find_field(message.DESCRIPTOR, str(key))
            if field is None:
                self._unknown(document, value, message, str(key), path, depth)
            elif field.name in spellings:
                self._add(
                    here,
                    f"duplicates {spellings[field.name]}, another spelling of the same field",
                    ErrorReason.DUPLICATE_KEY,
                )
            else:
                spellings[field.name] = str(key)
                chosen = {name for name, spelling in spellings.items() if document[spelling] is not None}
                self.field(value, message, field, here, depth, chosen)

    def _unknown(self, document: Mapping[Any, Any], value: Any, message: Any, key: str, path: str, depth: int) -> None:
        """Reports an unknown field; its value is read into the field with a similar name, if that is not set."""
        here, intended = key_path(path, key), _intended(message.DESCRIPTOR, key, document)
        repair = None
        if intended is not None:
            move = {"op": "move", "from": pointer_of(here), "path": pointer_of(key_path(path, intended.name))}
            repair = Repair(f"Renames it to `{intended.name}`.", [move])
            with suppress(_EnoughError):  # the problems of the value may be those of the guess
                _Reader().field(value, message, intended, intended.name, depth, set())
        self._add(here, _unknown_text(message.DESCRIPTOR, key), ErrorReason.UNKNOWN_FIELD, repair)

    def field(self, value: Any, message: Any, field: FieldDescriptor, path: str, depth: int, chosen: Set[str]) -> None:
        entry = field.message_type
        if value is None and not (entry is not None and entry.full_name == "google.protobuf.Value"):
            return  # JSON null leaves the field unset
        choice = field.containing_oneof
        members = choice.fields if choice else ()
        alternatives = [member.name for member in members if member.name in chosen and member is not field]
        if alternatives:
            self._add(path, f"cannot be combined with {alternatives[0]}: only one of them may be set")
        elif entry is not None and entry.GetOptions().map_entry:
            self._map(value, message, field, path, depth)
        elif field.is_repeated:
            self._list(value, message, field, path, depth)
        else:
            self._single(value, message, field, path, depth)

    def _single(self, value: Any, message: Any, field: FieldDescriptor, path: str, depth: int) -> None:
        if field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            self.message(value, inner, path, depth + 1, rounds=field.name in SCHEMA_FIELDS)
            return
        read = self._scalar(value, field, path)
        if read is not None:
            setattr(message, field.name, read)

    def _list(self, value: Any, message: Any, field: FieldDescriptor, path: str, depth: int) -> None:
        if isinstance(value, InvalidValue):
            self._add_invalid(path, value)
            return
        if not isinstance(value, list):
            self._add(path, f"must be a list (got {kind_of(value)})")
            return
        items = getattr(message, field.name)
        for index, item in enumerate(value):
            here = f"{path}[{index}]"
            if field.message_type is not None:
                self.message(item, items.add(), here, depth + 1)
            elif (read := self._scalar(item, field, here)) is not None:
                items.append(read)

    def _map(self, value: Any, message: Any, field: FieldDescriptor, path: str, depth: int) -> None:
        if isinstance(value, InvalidValue):
            self._add_invalid(path, value)
            return
        if not isinstance(value, Mapping):
            self._add(path, f"must be an object (got {kind_of(value)})")
            return
        entry: Any = field.message_type
        names, values = (entry.fields_by_name[part] for part in ("key", "value"))
        entries = getattr(message, field.name)
        for key, item in value.items():
            here = key_path(path, str(key))
            name = self._scalar(key, names, here)
            if name is None:
                continue
            if values.message_type is not None:
                self.message(item, entries[name], here, depth + 2)
            elif (read := self._scalar(item, values, here)) is not None:
                entries[name] = read

    def _scalar(self, value: Any, field: FieldDescriptor, path: str) -> Any:
        read = scalar(value, field)
        if isinstance(read, InvalidValue):
            self._add_invalid(path, read)
            return None
        return read

    def _free(self, value: Any, message: Any, path: str, depth: int, *, rounds: bool) -> None:
        for steps, invalid in fill_free(value, message, depth, rounds=rounds):
            self._add_invalid(_deeper(path, steps), invalid)

    def _well_known(self, value: Any, message: Any, path: str) -> None:
        form, example, read = _TEXTS[message.DESCRIPTOR.full_name]
        try:
            if not isinstance(value, str):
                raise ValueError
            read(message, value)
        except (ValueError, OverflowError):
            received = repr(value[:40]) if isinstance(value, str) else kind_of(value)
            self._add(path, f"must be {form} such as {example} (got {received})")

    def _add_invalid(self, path: str, invalid: InvalidValue) -> None:
        self._add(path, invalid.message, invalid.reason)

    def _add(
        self,
        path: str,
        message: str,
        reason: ErrorReason.ValueType = ErrorReason.FIELD_INVALID,
        repair: Repair | None = None,
    ) -> None:
        self.violations.append(Violation(path, message, reason, repair))
        if len(self.violations) >= PROBLEMS_MAX:
            raise _EnoughError


def _deeper(path: str, steps: list[str | int]) -> str:
    for step in steps:
        path = f"{path}[{step}]" if isinstance(step, int) else key_path(path, step)
    return path


def _intended(descriptor: Descriptor, key: str, document: Mapping[Any, Any]) -> FieldDescriptor | None:
    """The only field with a similar name, if neither it nor an alternative to it is in the document."""
    names = get_close_matches(key[:KEY_MAX], descriptor.fields_by_name, n=2, cutoff=SIMILAR)
    if len(names) != 1 and not (names and _same_word(names[0], key)):
        return None
    field = descriptor.fields_by_name[names[0]]
    choice = [field, *(field.containing_oneof.fields if field.containing_oneof else ())]
    taken = any(spelling in document for each in choice for spelling in (each.name, each.camelcase_name))
    return None if taken else field


def _same_word(name: str, key: str) -> bool:
    return name.replace("_", "") == re.sub(r"[^a-z0-9]", "", key.lower())


def _unknown_text(descriptor: Descriptor, key: str) -> str:
    close = get_close_matches(key[:KEY_MAX], [field.name for field in descriptor.fields], n=1)
    return f"unknown field{f'; did you mean {close[0]}?' if close else ''}"


def _read_duration(message: Any, text: str) -> None:
    span = proto_duration(text)
    if span is None:
        raise ValueError
    message.FromJsonString(span)


def _read_timestamp(message: Any, text: str) -> None:
    message.FromJsonString(text)


def _read_mask(message: Any, text: str) -> None:
    """Reads comma-separated paths, in either spelling of the field names; keys in backticks are read as they are."""
    message.paths.extend(CAPITAL.sub(_snake, path.strip()) for path in MASK_PATH.findall(text))


def _snake(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith("`") else f"_{match[0].lower()}"


_TEXTS: Mapping[str, tuple[str, str, Any]] = {
    "google.protobuf.Duration": ("a duration", "90s, 5m, 1h30m, 7d or PT1H", _read_duration),
    "google.protobuf.Timestamp": ("a timestamp", "2026-01-31T08:00:00Z", _read_timestamp),
    "google.protobuf.FieldMask": ("a field mask", "name,schedule", _read_mask),
}
