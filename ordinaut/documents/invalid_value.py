"""What stands in a document where its text could not be read for a value."""

from dataclasses import dataclass

from ordinaut.v1.error_pb2 import ErrorReason


@dataclass(frozen=True, slots=True)
class InvalidValue:
    """Takes the place of a value, so that the reader can say where it stands."""

    reason: ErrorReason.ValueType
    message: str
