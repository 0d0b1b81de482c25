"""The responses of a simulated run in the order in which they arrive."""

from heapq import heappop, heappush

from pipeline_engine.interpreter.requests import Response


class Timeline:
    """Future responses by request id, ordered by simulated time, or in a `replay` by their recorded position.

    A journal keeps the order in which responses arrived. A replay must deliver them in the same order, even if their
    recorded times are equal or not monotonic, because the order decides which sibling of a failing step is cancelled.
    In a replay a response without a position (of a write or a sleep) arrives at once.
    """

    def __init__(self, *, replay: bool) -> None:
        self._replay = replay
        self._queue: list[tuple[int, int, int]] = []
        self._responses: dict[int, Response] = {}

    def add(self, request_id: int, time_us: int, response: Response, position: int | None = None) -> None:
        """Adds the response to a request, which arrives at `time_us`."""
        self._responses[request_id] = response
        order = time_us if not self._replay else -1 if position is None else position
        heappush(self._queue, (order, request_id, time_us))

    def cancel(self, request_id: int) -> None:
        """Removes the response to a cancelled request."""
        self._responses.pop(request_id, None)

    def pop(self) -> tuple[int, int, Response] | None:
        """Removes the next response and returns its request id, its time and itself; otherwise None."""
        while self._queue:
            _, request_id, time_us = heappop(self._queue)
            if request_id in self._responses:
                return request_id, time_us, self._responses.pop(request_id)
        return None
