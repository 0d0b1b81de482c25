"""What is wrong with an expression, as data that a model can repair."""

from enum import Enum


class Kind(Enum):
    """The kinds of problems."""

    SYNTAX = "syntax"
    AMBIGUOUS = "ambiguous"
    UNRESOLVED = "unresolved"
    MISSING = "missing"
    VALUE = "value"
    LIMIT = "limit"


class ExpressionError(ValueError):
    """An expression cannot be read, or not be evaluated with these values.

    `repaired` is the whole expression as it was probably meant, where that is certain; `explanation` says what the
    repair does.
    """

    def __init__(self, kind: Kind, message: str, repaired: str | None = None, explanation: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.repaired = repaired
        self.explanation = explanation
