"""A placeholder for a value that the parser of a document could not read."""

from dataclasses import dataclass

from ordinaut.v1.error_pb2 import ErrorReason


@dataclass(frozen=True, slots=True)
class InvalidValue:
    """Replaces an unreadable value in the parsed document, so that the converter reports it with its path."""

    reason: ErrorReason.ValueType
    message: str
