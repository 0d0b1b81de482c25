"""Generates JSON Schemas (2020-12, as in OpenAPI 3.1) of messages in their REST representation."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from gateway.rest.openapi.comments import comments

Schema = dict[str, Any]
DURATION = r"^-?(P[0-9WDTHMS.]+|([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+)$"
WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Value": {"description": "Any JSON value."},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time", "examples": ["2026-01-31T08:00:00Z"]},
    "google.protobuf.Duration": {"type": "string", "pattern": DURATION, "examples": ["90s", "5m", "1h30m", "7d"]},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["description,labels"]},
    "google.protobuf.Empty": {"type": "object", "additionalProperties": False},
    "google.type.Interval": {
        "type": "object",
        "properties": {
            "start_time": {"type": "string", "format": "date-time"},
            "end_time": {"type": "string", "format": "date-time"},
        },
    },
}
INTEGER: Schema = {"type": "integer", "format": "int32"}
# Responses contain strings, because JavaScript rounds integers of 2^53 and more.
LONG: Schema = {"type": ["string", "integer"], "format": "int64", "pattern": "^-?[0-9]+$", "examples": ["42"]}
SCALARS: Mapping[int, Schema] = {
    FieldDescriptor.CPPTYPE_STRING: {"type": "string"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
    FieldDescriptor.CPPTYPE_INT32: INTEGER,
    FieldDescriptor.CPPTYPE_UINT32: {**INTEGER, "minimum": 0},
    FieldDescriptor.CPPTYPE_INT64: LONG,
    FieldDescriptor.CPPTYPE_UINT64: LONG,
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.CPPTYPE_FLOAT: {"type": "number"},
}


class Schemas:
    """Collects the schemas of referenced messages, for `components/schemas`.

    Names that the document gives to other schemas are `reserved`: a message of that name is an error.
    """

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self.components: dict[str, Schema] = {}
        self._owners = {name: name for name in reserved}

    def message(self, descriptor: Descriptor) -> Schema:
        """Returns a reference to the schema of a message, which is generated on first use."""
        if descriptor.full_name in WELL_KNOWN:
            return dict(WELL_KNOWN[descriptor.full_name])
        name = component_name(descriptor)
        if self._owners.setdefault(name, descriptor.full_name) != descriptor.full_name:
            raise ValueError(f"{descriptor.full_name} and {self._owners[name]} are both called {name} in OpenAPI")
        if name not in self.components:
            self.components[name] = {}  # first, because its fields may refer to it
            self.components[name] = self.object(descriptor)
        return {"$ref": f"#/components/schemas/{name}"}

    def patch(self, descriptor: Descriptor) -> Schema:
        """Returns a reference to the schema of a partial message: no field is required in a change of some fields."""
        name = f"{component_name(descriptor)}Patch"
        if name not in self.components:
            schema = {key: value for key, value in self.object(descriptor).items() if key != "required"}
            self.components[name] = {**schema, "title": name}
        return {"$ref": f"#/components/schemas/{name}"}

    def object(self, descriptor: Descriptor, leave_out: frozenset[str] = frozenset()) -> Schema:
        """Returns the schema of a message, without some of its fields."""
        fields = [field for field in descriptor.fields if field.name not in leave_out]
        schema: Schema = {
            "type": "object",
            "description": " ".join([comments().get(descriptor.full_name, ""), *_alternatives(descriptor)]).strip(),
            "properties": {field.name: self.field(field) for field in fields},
            "additionalProperties": False,
        }
        required = [field.name for field in fields if field_behavior_pb2.REQUIRED in behaviors(field)]
        return {**schema, "required": required} if required else schema

    def field(self, field: FieldDescriptor) -> Schema:
        """Returns the schema of a field, with its comment."""
        schema = self._type(field)
        text = comments().get(field.full_name, "")
        if "description" in schema:
            text = f"{text} {schema['description']}"
        described = {**schema, "description": text.strip()}
        return {**described, "readOnly": True} if field_behavior_pb2.OUTPUT_ONLY in behaviors(field) else described

    def _type(self, field: FieldDescriptor) -> Schema:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            return {"type": "object", "additionalProperties": self.single(entry.fields_by_name["value"])}
        single = self.single(field)
        return {"type": "array", "items": single} if field.is_repeated else single

    def single(self, field: FieldDescriptor) -> Schema:
        """Returns the schema of a single value of a field."""
        if field.message_type is not None:
            return self.message(field.message_type)
        return enumeration(field.enum_type) if field.enum_type is not None else dict(SCALARS[field.cpp_type])


def enumeration(descriptor: EnumDescriptor) -> Schema:
    """Returns the schema of an enum, without the value 0, with the comments of the values."""
    names = [value.name for value in descriptor.values if value.number]
    meanings = [f"`{name}`: {comments().get(f'{descriptor.full_name}.{name}', '')}" for name in names]
    return {"type": "string", "enum": names, "description": " ".join(meanings)}


def component_name(descriptor: Descriptor) -> str:
    """Returns the name without its package; nested names are joined."""
    package = descriptor.file.package
    return descriptor.full_name.removeprefix(f"{package}.").replace(".", "")


def behaviors(field: FieldDescriptor) -> frozenset[int]:
    """Returns the values of `google.api.field_behavior` of a field."""
    return frozenset(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def _alternatives(descriptor: Descriptor) -> Iterator[str]:
    for choice in descriptor.oneofs:
        names = [field.name for field in choice.fields]
        if len(names) > 1:  # an optional field is a oneof with a single member
            yield f"At most one of {', '.join(f'`{name}`' for name in names)}."
