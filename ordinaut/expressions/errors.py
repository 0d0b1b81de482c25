"""The error of an expression, with a machine-readable repair where there is one."""

from enum import Enum


class Kind(Enum):
    """Categories of errors."""

    SYNTAX = "syntax"
    AMBIGUOUS = "ambiguous"
    UNRESOLVED = "unresolved"
    MISSING = "missing"
    VALUE = "value"
    LIMIT = "limit"


class ExpressionError(ValueError):
    """An expression cannot be parsed, or not be evaluated on these values.

    `repaired` is the complete corrected expression, if the intention is certain; `explanation` describes the
    correction.
    """

    def __init__(self, kind: Kind, message: str, repaired: str | None = None, explanation: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.repaired = repaired
        self.explanation = explanation


class FuelError(ExpressionError):
    """An evaluation has used its fuel."""

    def __init__(self, message: str) -> None:
        super().__init__(Kind.LIMIT, message)
