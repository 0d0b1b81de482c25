"""Topics and their patterns: `*` stands for one word, a final `>` for one or more."""

import re
from collections.abc import Callable

from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.v1.error_pb2 import ErrorReason

WORD = r"[a-z][a-z0-9_-]{0,62}"
PATTERN = re.compile(rf"(>|({WORD}|\*)(\.({WORD}|\*)){{0,7}}(\.>)?)")


def matcher(pattern: str, field: str = "topic") -> Callable[[str], bool]:
    """Tells whether a topic matches; an empty pattern matches all.

    Raises:
        InvalidArgumentError: INVALID_TOPIC.
    """
    if not pattern:
        return lambda _topic: True
    if not PATTERN.fullmatch(pattern):
        text = "must be words of `[a-z][a-z0-9_-]*` joined by dots, `*` for one word, a final `>` for one or more"
        raise InvalidArgumentError.of([Violation(field, text, ErrorReason.INVALID_TOPIC)])
    parts = [{"*": r"[^.]+", ">": ".+"}.get(word, re.escape(word)) for word in pattern.split(".")]
    compiled = re.compile(r"\.".join(parts))
    return lambda topic: compiled.fullmatch(topic) is not None
