"""Runs that have come and not begun: the most urgent first, and those of one class in the order in which they came."""

from collections import deque

from ordinaut.internal.v1.pipeline_engine_service_pb2 import RunStart

CLASSES = 10
"""Priorities 1 to 9; 0 is a run that names none."""


class Starts:
    """What a stream has sent faster than it is begun, so that urgent work need not wait behind a backlog."""

    def __init__(self) -> None:
        self._classes: list[deque[RunStart]] = [deque() for _ in range(CLASSES)]
        self._handles: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._handles)

    def __contains__(self, handle: int) -> bool:
        return handle in self._handles

    def add(self, start: RunStart) -> None:
        """Takes one run."""
        self._classes[min(start.priority, CLASSES - 1)].append(start)
        self._handles.add(start.handle)

    def take(self) -> RunStart:
        """The run whose turn it is.

        Raises:
            IndexError: there is none.
        """
        for waiting in self._classes:
            while waiting:
                start = waiting.popleft()
                if start.handle in self._handles:
                    self._handles.remove(start.handle)
                    return start
        raise IndexError("no run waits")

    def drop(self, handle: int) -> bool:
        """Forgets a run; whether it was waiting."""
        if handle not in self._handles:
            return False
        self._handles.remove(handle)
        return True

    def clear(self) -> int:
        """Forgets all of them; how many there were."""
        count = len(self._handles)
        self._handles.clear()
        return count
