"""Runs that a worker has sent and that have not started: the most urgent first, each class in order of arrival."""

from collections import deque

from ordinaut.internal.v1.pipeline_engine_service_pb2 import RunStart

CLASSES = 10
"""Priorities 1 to 9; 0 is a run without a priority."""


class StartQueue:
    """A queue by priority class, so that urgent runs do not wait for a large batch that was sent before them."""

    def __init__(self) -> None:
        self._classes: list[deque[RunStart]] = [deque() for _ in range(CLASSES)]
        self._starts: dict[int, RunStart] = {}

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __contains__(self, handle: int) -> bool:
        return handle in self._starts

    def add(self, start: RunStart) -> None:
        """Adds a run."""
        self._classes[min(start.priority, CLASSES - 1)].append(start)
        self._starts[start.handle] = start

    def get(self, handle: int) -> RunStart | None:
        """Returns a queued run."""
        return self._starts.get(handle)

    def take(self) -> RunStart:
        """Removes and returns the next run.

        Raises:
            IndexError: the queue is empty.
        """
        for queue in self._classes:
            while queue:
                start = queue.popleft()
                if start.handle in self._starts:
                    del self._starts[start.handle]
                    return start
        raise IndexError("the queue is empty")

    def remove(self, handle: int) -> bool:
        """Removes a run and returns whether it was queued."""
        if handle not in self._starts:
            return False
        del self._starts[handle]
        return True

    def clear(self) -> int:
        """Removes all runs and returns their number."""
        count = len(self._starts)
        self._starts.clear()
        return count
