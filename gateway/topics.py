"""Topic patterns as callers send them."""

from collections.abc import Callable

from ordinaut.errors import InvalidArgumentError, Violation
from ordinaut.names import TopicPatternError, topic_matcher
from ordinaut.v1.error_pb2 import ErrorReason


def matcher(pattern: str, field: str = "topic") -> Callable[[str], bool]:
    """Tells whether a topic matches; an empty pattern matches all.

    Raises:
        InvalidArgumentError: INVALID_TOPIC.
    """
    if not pattern:
        return lambda _topic: True
    try:
        return topic_matcher(pattern)
    except TopicPatternError as error:
        raise InvalidArgumentError.of([Violation(field, str(error), ErrorReason.INVALID_TOPIC)]) from error
