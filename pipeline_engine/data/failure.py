"""Why a step failed, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

VALIDATION_INPUT = "VALIDATION_INPUT"
VALIDATION_OUTPUT = "VALIDATION_OUTPUT"
EXPRESSION = "EXPRESSION"
TOOL_ERROR = "TOOL_ERROR"
TOOL_UNAVAILABLE = "TOOL_UNAVAILABLE"
TIMEOUT = "TIMEOUT"
DENIED = "DENIED"
REJECTED = "REJECTED"
PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
FAN_OUT_LIMIT = "FAN_OUT_LIMIT"
OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"

MAX_MESSAGE = 2000
"""Characters of a message."""


def no_answer(seconds: float) -> "Failure":
    """A call that took longer than it may."""
    return Failure(TIMEOUT, f"no answer within {seconds:.3g} s", retryable=True, unclear=True)


def printable(message: str) -> str:
    """A message that can be stored and sent: what it quotes may hold lone surrogates and NUL characters."""
    return message.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt; `ordinaut.v1.Error` in Python. `pointer` is RFC 6901 into the refused input or output.

    `unclear` says that the call may have happened all the same; it is not recorded.
    """

    code: str
    message: str
    step: str = ""
    pointer: str = ""
    tool: str = ""
    attempt: int = 0
    retryable: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    unclear: bool = False

    def at(self, step: str, tool: str, attempt: int) -> "Failure":
        """The same failure with its place."""
        return replace(self, step=step, tool=tool, attempt=attempt)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without what is unset."""
        values: dict[str, Any] = {
            "code": self.code,
            "message": printable(self.message[:MAX_MESSAGE]),
            "step": self.step,
            "pointer": self.pointer,
            "tool": self.tool,
            "attempt": self.attempt,
            "retryable": self.retryable,
            "details": dict(self.details),
        }
        return {key: value for key, value in values.items() if value}

    def to_json(self) -> bytes:
        """As JSON text."""
        return orjson.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: bytes) -> "Failure":
        """The failure that was recorded; unknown keys are left out."""
        values = orjson.loads(text) if text else {}
        known = {key: values[key] for key in cls.__slots__ if key in values}
        return cls(**{"code": TOOL_ERROR, "message": "", **known})
