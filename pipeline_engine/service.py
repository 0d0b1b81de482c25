"""The gRPC adapter of PipelineEngineService."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as engine_pb2
from ordinaut.internal.v1 import pipeline_engine_service_pb2_grpc as engine_grpc
from pipeline_engine.processes.checks import Checks
from pipeline_engine.stream.run_start import EngineContext
from pipeline_engine.stream.session import Session

ISOLATED_KEY = "ordinaut-isolated"
"""Metadata of a stream for quarantined runs, which may have crashed an engine before."""
Context = grpc.aio.ServicerContext[Any, Any]


class PipelineEngineService(engine_grpc.PipelineEngineServiceServicer):
    """Serves gateways and workers; each stream may have `credit` concurrent runs."""

    def __init__(self, context: EngineContext, checks: Checks, credit: int) -> None:
        self._context = context
        self._checks = checks
        self._credit = credit
        self._isolated = asyncio.Lock()
        self._sessions: set[Session] = set()

    async def ValidatePipeline(  # noqa: N802 - the contract's name
        self, request: engine_pb2.ValidatePipelineRequest, context: Context
    ) -> engine_pb2.ValidatePipelineResponse:
        """Checks a pipeline."""
        return await self._checks.validate_pipeline(request)

    async def ValidateTool(  # noqa: N802 - the contract's name
        self, request: engine_pb2.ValidateToolRequest, context: Context
    ) -> engine_pb2.ValidateToolResponse:
        """Checks a tool."""
        return await self._checks.validate_tool(request)

    async def ValidateValue(  # noqa: N802 - the contract's name
        self, request: engine_pb2.ValidateValueRequest, context: Context
    ) -> engine_pb2.ValidateValueResponse:
        """Checks a value."""
        return await self._checks.validate_value(request)

    async def SimulateRun(  # noqa: N802 - the contract's name
        self, request: engine_pb2.SimulateRunRequest, context: Context
    ) -> engine_pb2.SimulateRunResponse:
        """Simulates a run; the simulation stops when the caller cancels the RPC."""
        return await self._checks.simulate_run(request)

    async def Execute(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[engine_pb2.WorkerFrame], context: Context
    ) -> AsyncIterator[engine_pb2.EngineFrame]:
        """Executes runs until the stream ends."""
        session = Session(self._context)
        isolated = dict(context.invocation_metadata() or ()).get(ISOLATED_KEY) == "1"
        tasks = [
            asyncio.create_task(session.read(request_iterator)),
            asyncio.create_task(self._admit(session, isolated=isolated)),
        ]
        self._sessions.add(session)
        try:
            async for frame in session.writer.frames():
                yield frame
        finally:
            self._sessions.discard(session)
            session.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _admit(self, session: Session, *, isolated: bool) -> None:
        """Gives the first credit; isolated streams get it one at a time.

        If two quarantined runs were in the engine together and it crashed, both would count a loss, and the harmless
        one could be ended for the defect of the other.
        """
        if not isolated:
            session.writer.credit(self._credit)
            return
        async with self._isolated:
            session.writer.credit(self._credit)
            await session.ended.wait()

    async def drain(self, seconds: float) -> None:
        """Ends every stream after its last run, and after `seconds` also the streams that still have runs.

        Workers return the runs of a stream that ends without an error to the queue uncounted. If the server cancelled
        the stream at the end of its own grace period, they would count a loss for each.
        """
        sessions = list(self._sessions)
        for session in sessions:
            session.drain()
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(session.ended.wait() for session in sessions))
        except TimeoutError:
            for session in sessions:
                session.writer.close()
            await asyncio.gather(*(session.ended.wait() for session in sessions))
