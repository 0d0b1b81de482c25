"""Converts documents (parsed YAML or JSON) to messages; an exception lists all problems."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from ordinaut.documents.reading import fill
from ordinaut.documents.writing import to_document, with_integers

__all__ = ["DocumentError", "Problem", "read", "to_document", "with_integers"]
Target = TypeVar("Target", bound=Message)


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a document: the path of the value, and a message with the expected form."""

    path: str
    message: str


class DocumentError(ValueError):
    """A document does not match its message type."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.path}: {problem.message}" for problem in problems))
        self.problems = problems


def read(document: Mapping[str, Any], message: Target, path: str = "") -> Target:
    """Fills `message` from a proto3 JSON document and returns it; field names may be snake_case or camelCase.

    `path` is the path of the document in the request; the paths of problems start with it.

    Raises:
        DocumentError: lists all problems.
    """
    violations = fill(document, message, path)
    if violations:
        raise DocumentError([Problem(violation.field or "document", violation.message) for violation in violations])
    return message
