"""Translates PipelineEngineService; what it answers is decided elsewhere."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import grpc

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.internal.v1 import pipeline_engine_service_pb2_grpc as engine_grpc
from pipeline_engine.simulation.simulation import simulate
from pipeline_engine.stream.session import Session, Surroundings
from pipeline_engine.validation.validate import validate_pipeline, validate_tool, validate_value

ISOLATED_KEY = "ordinaut-isolated"
"""Metadata of a stream that carries runs suspected of taking engines down."""
SIMULATIONS = 2
"""How many runs are simulated at once: live runs come first."""
Context = grpc.aio.ServicerContext[Any, Any]


class PipelineEngineService(engine_grpc.PipelineEngineServiceServicer):
    """Serves gateways and workers; each stream may have `credit` runs here at once."""

    def __init__(self, surroundings: Surroundings, credit: int) -> None:
        self._surroundings = surroundings
        self._credit = credit
        self._isolated = asyncio.Lock()
        self._simulating = asyncio.Semaphore(SIMULATIONS)
        self._sessions: set[Session] = set()

    async def ValidatePipeline(  # noqa: N802 - the contract's name
        self, request: engine_pb2.ValidatePipelineRequest, context: Context
    ) -> engine_pb2.ValidatePipelineResponse:
        """Checks a pipeline, off the loop."""
        return await asyncio.to_thread(validate_pipeline, request)

    async def ValidateTool(  # noqa: N802 - the contract's name
        self, request: engine_pb2.ValidateToolRequest, context: Context
    ) -> engine_pb2.ValidateToolResponse:
        """Checks a tool, off the loop."""
        return await asyncio.to_thread(validate_tool, request)

    async def ValidateValue(  # noqa: N802 - the contract's name
        self, request: engine_pb2.ValidateValueRequest, context: Context
    ) -> engine_pb2.ValidateValueResponse:
        """Checks a value, off the loop."""
        return await asyncio.to_thread(validate_value, request)

    async def SimulateRun(  # noqa: N802 - the contract's name
        self, request: engine_pb2.SimulateRunRequest, context: Context
    ) -> engine_pb2.SimulateRunResponse:
        """Simulates a run, off the loop, a few at a time; stops when nobody waits for it any more."""
        gone = threading.Event()
        async with self._simulating:
            try:
                return await asyncio.to_thread(simulate, request, gone.is_set)
            finally:
                gone.set()

    async def Execute(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[engine_pb2.WorkerFrame], context: Context
    ) -> AsyncIterator[engine_pb2.EngineFrame]:
        """Executes runs as long as the stream lives."""
        session = Session(self._surroundings)
        isolated = dict(context.invocation_metadata() or ()).get(ISOLATED_KEY) == "1"
        tasks = [
            asyncio.create_task(session.read(request_iterator)),
            asyncio.create_task(self._admit(session, isolated=isolated)),
        ]
        self._sessions.add(session)
        try:
            async for frame in session.outbox.frames():
                yield frame
        finally:
            self._sessions.discard(session)
            session.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _admit(self, session: Session, *, isolated: bool) -> None:
        """Gives the first credit; suspects get it one stream at a time, so that they never meet in an engine."""
        if not isolated:
            session.outbox.credit(self._credit)
            return
        async with self._isolated:
            session.outbox.credit(self._credit)
            await session.ended.wait()

    def drain(self) -> None:
        """Ends every stream as soon as its runs are over."""
        for session in self._sessions:
            session.drain()
