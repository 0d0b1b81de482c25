"""Documents that people write (YAML, JSON) as messages, with an exception that tells every problem at once."""

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
    violations = fill(document, message, path)
    if violations:
        raise DocumentError([Problem(violation.field or "document", violation.message) for violation in violations])
    return message
