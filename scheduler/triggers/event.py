"""Event triggers match topics and never fire by time."""

from datetime import datetime
from typing import ClassVar

from ordinaut.names import TopicPatternError, topic_matcher
from ordinaut.v1.error_pb2 import ErrorReason
from scheduler.triggers.problem import ScheduleError
from scheduler.triggers.trigger import Firing, TimeTrigger


class EventTrigger(TimeTrigger):
    """Fires when an event matches, never by time.

    Raises:
        ScheduleError: INVALID_TOPIC.
    """

    __slots__ = ("matches",)
    kind: ClassVar[str] = "event"

    def __init__(self, topic: str) -> None:
        try:
            self.matches = topic_matcher(topic)
        except TopicPatternError as error:
            text = f'"{topic[:64]}" is not a topic pattern: {error}'
            raise ScheduleError(ErrorReason.INVALID_TOPIC, text) from error

    def after(self, instant: datetime) -> Firing | None:
        """Always None: events are not instants."""
        del instant
        return None
