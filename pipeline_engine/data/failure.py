"""The failure of a step, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from ordinaut.clock import EPOCH, TICK
from ordinaut.expressions import ExpressionError
from ordinaut.expressions.times import parse_timestamp, timestamp_of_us

VALIDATION_INPUT = "VALIDATION_INPUT"
VALIDATION_OUTPUT = "VALIDATION_OUTPUT"
EXPRESSION = "EXPRESSION"
TOOL_ERROR = "TOOL_ERROR"
TOOL_UNAVAILABLE = "TOOL_UNAVAILABLE"
TIMEOUT = "TIMEOUT"
DEADLINE = "DEADLINE"
DENIED = "DENIED"
REJECTED = "REJECTED"
PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
FAN_OUT_LIMIT = "FAN_OUT_LIMIT"
OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
CANCELLED = "CANCELLED"
LOST_TOO_OFTEN = "LOST_TOO_OFTEN"

NEXT_ATTEMPT_TIME = "next_attempt_time"
"""Key of `details`: the time of the next attempt, if there is one."""
MAX_MESSAGE = 2000
"""Characters of a message."""


def timed_out(seconds: float) -> "Failure":
    """The failure of a call that did not answer within its timeout of `seconds`."""
    return Failure(TIMEOUT, f"no answer within {seconds:.3g} s", retryable=True, may_have_happened=True)


def printable(message: str) -> str:
    """Returns the message with lone surrogates and NUL characters replaced, so that it can be stored and sent."""
    return message.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt; `ordinaut.v1.Error` in Python. `pointer` is RFC 6901 into the rejected input or output.

    `may_have_happened`: the request may have taken effect although no usable response arrived. `retry_after`: the
    seconds that the tool asked to wait before another attempt; infinite if the run ends before. Neither is recorded in
    the journal.
    """

    code: str
    message: str
    step: str = ""
    pointer: str = ""
    tool: str = ""
    attempt: int = 0
    retryable: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)
    may_have_happened: bool = False
    retry_after: float = 0.0

    def at(self, step: str, tool: str, attempt: int) -> "Failure":
        """Returns the failure with the step's path, its tool and the attempt number."""
        return replace(self, step=step, tool=tool, attempt=attempt)

    def with_known_outcome(self, *, happened: bool) -> "Failure":
        """Returns the failure of a call that is known to have happened, or known not to have happened."""
        return replace(self, may_have_happened=False, details={**self.details, "happened": happened})

    def with_next_attempt(self, us: int) -> "Failure":
        """Returns the failure with the time of the next attempt, unless it was recorded with one."""
        return replace(self, details={NEXT_ATTEMPT_TIME: timestamp_of_us(us), **self.details})

    def next_attempt_us(self) -> int | None:
        """Returns the recorded time of the next attempt, in microseconds since 1970 UTC."""
        text = self.details.get(NEXT_ATTEMPT_TIME)
        try:
            return None if text is None else (parse_timestamp(str(text)) - EPOCH) // TICK
        except ExpressionError:  # the details of a tool or a mock may have this key with another meaning
            return None

    def to_dict(self) -> dict[str, Any]:
        """Returns the failure as a JSON object without unset fields."""
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
        """Returns the failure as JSON text."""
        return orjson.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: bytes) -> "Failure":
        """Reads a recorded failure; unknown keys are ignored."""
        values = orjson.loads(text) if text else {}
        fields = {key: values[key] for key in cls.__slots__ if key in values}
        return cls(**{"code": TOOL_ERROR, "message": "", **fields})
