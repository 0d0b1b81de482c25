"""Converts the pointers of fixes to the names of fields that the caller has sent: JSON allows `timeZone` as well."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from google.protobuf.descriptor import Descriptor

from ordinaut.documents.sent_pointer import sent_pointer
from ordinaut.errors import Repair, Violation

POINTERS = ("path", "from")


def with_sent_names(violations: Sequence[Violation], document: Any, descriptor: Descriptor) -> list[Violation]:
    """Returns the violations with the pointers of their repairs converted; `document` is the request that was sent."""
    return [
        each if each.repair is None else replace(each, repair=_converted(each.repair, document, descriptor))
        for each in violations
    ]


def _converted(repair: Repair, document: Any, descriptor: Descriptor) -> Repair:
    operations = [
        {
            key: sent_pointer(str(value), document, descriptor) if key in POINTERS else value
            for key, value in operation.items()
        }
        for operation in repair.operations
    ]
    return Repair(repair.explanation, operations)
