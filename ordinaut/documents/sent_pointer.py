"""Finds the place of a field in a document that its author has spelled differently: JSON allows `timeZone` as well."""

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from ordinaut.documents.free_json import FREE_JSON
from ordinaut.documents.pointers import pointer, words_of
from ordinaut.documents.reading import find_field


def sent_pointer(text: str, document: Any, descriptor: Descriptor) -> str:
    """The pointer with each name of a field as it is spelled in the document; a new name is that of the proto."""
    words, value = list(words_of(text)), document
    kind: Descriptor | None = descriptor
    for index, word in enumerate(words):
        if isinstance(value, list):
            value = value[int(word)] if word.isdecimal() and int(word) < len(value) else None
            continue
        field = find_field(kind, word) if kind is not None and kind.full_name not in FREE_JSON else None
        if field is not None and isinstance(value, dict) and word not in value:
            words[index] = next((name for name in (field.name, field.camelcase_name) if name in value), word)
        value = value.get(words[index]) if isinstance(value, dict) else None
        kind = _kind_of(field)
    return pointer(words)


def _kind_of(field: FieldDescriptor | None) -> Descriptor | None:
    """The type of the values of a field; None for scalars, and for maps, whose keys are not names of fields."""
    kind = field.message_type if field is not None else None
    return None if kind is None or kind.GetOptions().map_entry else kind
