"""The comments of the protos, read from the descriptor set; the generated Python modules do not contain them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet

# Source: descriptor.proto. Numbers of the fields that hold the named children of each kind of node.
CHILDREN: Mapping[str, Mapping[int, tuple[str, str]]] = {
    "file": {4: ("message_type", "message"), 5: ("enum_type", "enum"), 6: ("service", "service")},
    "message": {
        2: ("field", "leaf"),
        3: ("nested_type", "message"),
        4: ("enum_type", "enum"),
        8: ("oneof_decl", "leaf"),
    },
    "enum": {2: ("value", "leaf")},
    "service": {2: ("method", "leaf")},
    "leaf": {},
}


@cache
def comments() -> Mapping[str, str]:
    """Returns the leading comments by full name; names of enum values include their enum."""
    data = files("ordinaut.v1").joinpath("descriptors.binpb").read_bytes()
    return {
        name: text
        for file in FileDescriptorSet.FromString(data).file
        if file.package.startswith("ordinaut.")
        for name, text in _of_file(file)
    }


def _of_file(file: Any) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        if location.leading_comments and location.path:
            name = _name(file, list(location.path))
            if name:
                yield f"{file.package}.{name}", _flat(location.leading_comments)


def _name(file: Any, path: Sequence[int]) -> str:
    """Returns the name of the element at a path, relative to its file; empty for an unnamed element."""
    node, kind, names = file, "file", []
    for number, index in zip(path[::2], path[1::2], strict=False):
        if number not in CHILDREN[kind]:
            return ""
        field, kind = CHILDREN[kind][number]
        node = getattr(node, field)[index]
        names.append(node.name)
    return ".".join(names) if len(path) % 2 == 0 else ""


def _flat(comment: str) -> str:
    return " ".join(line.strip() for line in comment.splitlines()).strip()
