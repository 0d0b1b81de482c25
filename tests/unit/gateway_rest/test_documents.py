"""The reader of proto3 JSON against the one of the protobuf library, and where it is stricter."""

from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.services import DESCRIPTORS
from ordinaut.documents.reading import fill
from ordinaut.documents.writing import to_document
from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.v1.task_pb2 import Task

REQUESTS = [method.input_type for service in DESCRIPTORS for method in service.methods]
EXACT = 2**53 - 1
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
FREE = st.recursive(
    st.none() | st.booleans() | st.integers(-EXACT, EXACT) | st.floats(-EXACT, EXACT) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
KNOWN: dict[str, st.SearchStrategy[Any]] = {
    "google.protobuf.Struct": st.dictionaries(TEXT, FREE, max_size=3),
    "google.protobuf.Value": FREE,
    "google.protobuf.Timestamp": st.sampled_from(["2026-01-31T08:00:00Z", "2026-01-31T08:00:00.123456+02:00"]),
    "google.protobuf.Duration": st.sampled_from(["0s", "90s", "1.5s", "-3s"]),
    "google.protobuf.FieldMask": st.sampled_from(["", "description", "displayName,runPolicy.priority"]),
}
SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_STRING: TEXT,
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1).map(str) | st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
}


def documents(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[Any]:
    if descriptor.full_name in KNOWN:
        return KNOWN[descriptor.full_name]
    oneofs = {field.name for choice in descriptor.oneofs if len(choice.fields) > 1 for field in choice.fields}
    fields = [field for field in descriptor.fields if field.name not in oneofs and depth < 4]
    chosen = {field.name: values(field, depth) for field in fields}
    return st.fixed_dictionaries({}, optional=chosen)


def values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        return st.dictionaries(TEXT, single(entry.fields_by_name["value"], depth), max_size=2)
    return st.lists(single(field, depth), max_size=2) if field.is_repeated else single(field, depth)


def single(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return documents(field.message_type, depth + 1)
    if field.enum_type is not None:
        return st.sampled_from([value.name for value in field.enum_type.values])
    return SCALARS[field.cpp_type]


def empty(descriptor: Descriptor) -> Message:
    made: Message = GetMessageClass(descriptor)()
    return made


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_documents_are_parsed_like_the_protobuf_library_does(data: st.DataObject) -> None:
    descriptor = data.draw(st.sampled_from(REQUESTS))
    document = data.draw(documents(descriptor))
    mine, theirs = empty(descriptor), empty(descriptor)
    assert fill(document, mine) == []
    json_format.ParseDict(document, theirs)
    assert mine == theirs
    again = empty(descriptor)
    assert fill(to_document(mine), again) == []
    assert again == mine


@settings(max_examples=60, deadline=None)
@given(data=st.data(), junk=FREE)
def test_any_document_is_parsed_or_refused(data: st.DataObject, junk: Any) -> None:
    """Wrong values anywhere are problems with paths, never exceptions."""
    descriptor = data.draw(st.sampled_from(REQUESTS))
    for field in descriptor.fields:
        for problem in fill({field.json_name: junk}, empty(descriptor)):
            assert problem.field.startswith((field.name, field.json_name))


@pytest.mark.parametrize(
    ("document", "fields"),
    [
        ({"labels": {"a": 1, "b": "x"}}, {"labels.a"}),
        ({"labels": []}, {"labels"}),
        ({"run_policy": {"priority": True, "max_losses": "3", "retry": {"factor": "2", "codes": "TIMEOUT"}}},
         {"run_policy.priority", "run_policy.max_losses", "run_policy.retry.factor", "run_policy.retry.codes"}),
        ({"version": "1e3", "schedule": {"triggers": [{"event": {"topics": "a"}}]}},
         {"version", "schedule.triggers[0].event.topics"}),
        ({"pipeline": {"a b": [{"c": 2**53}]}}, {"pipeline['a b'][0].c"}),
    ],
)  # fmt: skip
def test_every_violation_has_its_path(document: dict[str, Any], fields: set[str]) -> None:
    assert {problem.field for problem in fill(document, Task())} == fields


def test_null_unsets_and_null_is_a_value() -> None:
    task, entry = Task(), StateEntry()
    assert fill({"description": None, "schedule": None, "labels": None}, task) == []
    assert task == Task()
    assert fill({"value": None}, entry) == []
    assert entry.value.WhichOneof("kind") == "null_value"


def test_problems_are_bounded() -> None:
    assert len(fill({f"x{number}": 1 for number in range(1000)}, Task())) == 100


def test_maps_have_texts_for_keys() -> None:
    """What the reader relies on."""
    files = {descriptor.file.name: descriptor.file for descriptor in REQUESTS}
    imported = {file.name: file for known in files.values() for file in (known, *known.dependencies)}
    for file in imported.values():
        for message in file.message_types_by_name.values():
            for field in message.fields:
                if field.message_type is not None and field.message_type.GetOptions().map_entry:
                    assert field.message_type.fields_by_name["key"].type == FieldDescriptor.TYPE_STRING
