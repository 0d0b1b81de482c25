"""Topic patterns: which events a trigger is for. Such a trigger never fires by time.

A topic is words of `[a-z0-9_-]` joined by dots; in a pattern `*` stands for one word, a final `>` for one or more.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import ClassVar

from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.trigger import Firing, TimeTrigger

MAX_TOPIC = 511
MAX_WORDS = 8
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)


@lru_cache(maxsize=4096)
def topic_matcher(pattern: str) -> Callable[[str], bool]:
    """A test whether a topic fits the pattern; linear in the topic's length.

    Raises:
        ScheduleError: INVALID_TOPIC.
    """
    words = pattern.split(".")
    if len(pattern) > MAX_TOPIC or len(words) > MAX_WORDS:
        raise _invalid(pattern, f"at most {MAX_WORDS} words and {MAX_TOPIC} characters")
    open_end = words[-1] == ">"
    fixed = tuple(words[:-1] if open_end else words)
    for word in fixed:
        if word != "*" and not _WORD.fullmatch(word):
            raise _invalid(pattern, f'"{word[:40]}" is neither a word such as mail nor * (> stands only at the end)')

    def matches(topic: str) -> bool:
        found = topic.split(".")
        if len(found) <= len(fixed) if open_end else len(found) != len(fixed):
            return False
        return all(word in ("*", actual) for word, actual in zip(fixed, found, strict=False))

    return matches


def _invalid(pattern: str, why: str) -> ScheduleError:
    return ScheduleError(ErrorReason.INVALID_TOPIC, f'"{pattern[:64]}" is not a topic pattern: {why}')


class EventTrigger(TimeTrigger):
    """Fires when an event matches, never by time.

    Raises:
        ScheduleError: INVALID_TOPIC.
    """

    __slots__ = ("matches",)
    kind: ClassVar[str] = "event"

    def __init__(self, topic: str) -> None:
        self.matches = topic_matcher(topic)

    def after(self, instant: datetime) -> Firing | None:
        """None: no instant belongs to an event."""
        del instant
        return None
