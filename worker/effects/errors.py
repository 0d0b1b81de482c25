"""What a worker refuses to do for a step."""

from typing import Any

import orjson


class EffectError(Exception):
    """A failing effect: data for its step alone."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.details = details

    def to_json(self, path: str, tool: str, attempt: int) -> bytes:
        """The error of the step at that path, as JSON."""
        error = {
            "code": self.code,
            "message": str(self),
            "step": path,
            "tool": tool,
            "attempt": attempt,
            "retryable": False,
            "details": self.details,
        }
        return orjson.dumps(error)
