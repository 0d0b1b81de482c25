"""WorkerService: what operators can ask a worker to do."""

from collections.abc import Awaitable, Callable
from typing import Any

from ordinaut.internal.v1 import worker_service_pb2 as messages
from ordinaut.internal.v1.worker_service_pb2_grpc import WorkerServiceServicer


class WorkerService(WorkerServiceServicer):
    """Implements WorkerService."""

    def __init__(self, drain: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        self._drain = drain

    async def Drain(self, _request: messages.DrainRequest, _context: Any) -> messages.DrainResponse:  # noqa: N802 - the method's name
        """Drains this worker; returns how many of its runs finished, and how many were released."""
        finished, released = await self._drain()
        return messages.DrainResponse(finished=finished, released=released)
