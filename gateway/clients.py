"""The two services that the gateway asks: the scheduler about time, the engines about pipelines."""

import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ordinaut.errors import UnavailableError
from ordinaut.internal.v1.pipeline_engine_service_pb2 import (
    SimulateRunRequest,
    SimulateRunResponse,
    ValidatePipelineRequest,
    ValidatePipelineResponse,
    ValidateToolRequest,
    ValidateToolResponse,
    ValidateValueRequest,
    ValidateValueResponse,
)
from ordinaut.internal.v1.pipeline_engine_service_pb2_grpc import PipelineEngineServiceStub
from ordinaut.internal.v1.scheduler_service_pb2 import (
    ListInstantsRequest,
    ListInstantsResponse,
    LocateMomentRequest,
    LocateMomentResponse,
    SimulateRequest,
    SimulateResponse,
    ValidateScheduleRequest,
    ValidateScheduleResponse,
)
from ordinaut.internal.v1.scheduler_service_pb2_grpc import SchedulerServiceStub
from ordinaut.rpc.channel import internal_channel, internal_metadata
from ordinaut.v1.error_pb2 import ErrorReason

Answer = TypeVar("Answer")
CHECK_SECONDS = 10.0
PREVIEW_SECONDS = 1.0
SIMULATION_SECONDS = 300.0
HEALTH_SECONDS = 0.5
RETRY_SECONDS = 1.0
# Answers that say nothing about the request: the process is not there, not yet, or too busy.
ABSENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


class _Peer:
    """One process of Ordinaut behind a channel."""

    def __init__(self, address: str, token: str) -> None:
        self.channel = internal_channel(address)
        self.metadata = internal_metadata(token)
        self._health: Any = health_pb2_grpc.HealthStub(self.channel)

    async def health(self) -> str:
        """`SERVING`, or why not."""
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS)
        except grpc.aio.AioRpcError as failure:
            return failure.code().name
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


class Scheduler:
    """The scheduler's client; create it inside the running event loop."""

    def __init__(self, address: str, token: str) -> None:
        self._peer = _Peer(address, token)
        self._stub: Any = SchedulerServiceStub(self._peer.channel)

    async def validate(
        self, request: ValidateScheduleRequest, *, seconds: float = CHECK_SECONDS
    ) -> ValidateScheduleResponse:
        """Checks and completes a schedule and computes its next times.

        Raises:
            UnavailableError: SCHEDULER_UNAVAILABLE.
        """
        call = self._stub.ValidateSchedule(request, timeout=seconds, metadata=self._peer.metadata)
        answer: ValidateScheduleResponse = await _answer(call, ErrorReason.SCHEDULER_UNAVAILABLE, "the scheduler")
        return answer

    async def instants(self, request: ListInstantsRequest) -> ListInstantsResponse:
        """The instants of a stored schedule in a stretch of time.

        Raises:
            UnavailableError: SCHEDULER_UNAVAILABLE.
        """
        call = self._stub.ListInstants(request, timeout=CHECK_SECONDS, metadata=self._peer.metadata)
        answer: ListInstantsResponse = await _answer(call, ErrorReason.SCHEDULER_UNAVAILABLE, "the scheduler")
        return answer

    async def locate(self, request: LocateMomentRequest) -> LocateMomentResponse:
        """Where a moment lies in a stored schedule.

        Raises:
            UnavailableError: SCHEDULER_UNAVAILABLE.
        """
        call = self._stub.LocateMoment(request, timeout=CHECK_SECONDS, metadata=self._peer.metadata)
        answer: LocateMomentResponse = await _answer(call, ErrorReason.SCHEDULER_UNAVAILABLE, "the scheduler")
        return answer

    async def simulate(self, request: SimulateRequest) -> AsyncGenerator[SimulateResponse, None]:
        """Simulates a task; closing the iterator ends the work.

        Raises:
            UnavailableError: SCHEDULER_UNAVAILABLE.
        """
        call = self._stub.Simulate(request, timeout=SIMULATION_SECONDS, metadata=self._peer.metadata)
        try:
            async for answer in call:
                yield answer
        except grpc.aio.AioRpcError as failure:
            raise _absent(failure, ErrorReason.SCHEDULER_UNAVAILABLE, "the scheduler") from failure
        finally:
            call.cancel()

    async def health(self) -> str:
        """`SERVING`, or why not."""
        return await self._peer.health()

    async def close(self) -> None:
        """Closes the channel."""
        await self._peer.channel.close()


class Engines:
    """The engines' client: asks them in turn, the next one where one is away; create it in the running loop."""

    def __init__(self, addresses: Sequence[str], token: str) -> None:
        self._peers = [_Peer(address, token) for address in addresses]
        self._turn = itertools.count()

    async def validate_pipeline(self, request: ValidatePipelineRequest) -> ValidatePipelineResponse:
        """Checks a pipeline; raises, as all of these do, UnavailableError with ENGINE_UNAVAILABLE."""
        return await self._ask(lambda stub, **options: stub.ValidatePipeline(request, **options))

    async def validate_tool(self, request: ValidateToolRequest) -> ValidateToolResponse:
        """Checks a tool's schemas and transport."""
        return await self._ask(lambda stub, **options: stub.ValidateTool(request, **options))

    async def validate_value(self, request: ValidateValueRequest) -> ValidateValueResponse:
        """Checks a value against a JSON Schema."""
        return await self._ask(lambda stub, **options: stub.ValidateValue(request, **options))

    async def simulate_run(self, request: SimulateRunRequest) -> SimulateRunResponse:
        """Simulates a run."""
        return await self._ask(lambda stub, **options: stub.SimulateRun(request, **options))

    async def health(self) -> str:
        """`SERVING` when any engine is, else why the last one is not."""
        status = "UNKNOWN"
        for peer in self._peers:
            status = await peer.health()
            if status == "SERVING":
                break
        return status

    async def close(self) -> None:
        """Closes the channels."""
        for peer in self._peers:
            await peer.channel.close()

    async def _ask(self, call: Callable[..., Awaitable[Answer]]) -> Answer:
        first = next(self._turn)
        failure: UnavailableError | None = None
        for step in range(len(self._peers)):
            peer = self._peers[(first + step) % len(self._peers)]
            stub: Any = PipelineEngineServiceStub(peer.channel)
            started = call(stub, timeout=CHECK_SECONDS, metadata=peer.metadata)
            try:
                return await _answer(started, ErrorReason.ENGINE_UNAVAILABLE, "the pipeline engine")
            except UnavailableError as absent:
                failure = absent
        raise failure or _unavailable(ErrorReason.ENGINE_UNAVAILABLE, "the pipeline engine", "no address is set")


async def _answer(call: Awaitable[Answer], reason: ErrorReason.ValueType, who: str) -> Answer:
    try:
        return await call
    except grpc.aio.AioRpcError as failure:
        raise _absent(failure, reason, who) from failure


def _absent(failure: grpc.aio.AioRpcError, reason: ErrorReason.ValueType, who: str) -> Exception:
    """What a caller is told of a failure; one that is not about absence is a defect, and goes on as it is."""
    return _unavailable(reason, who, failure.code().name) if failure.code() in ABSENT else failure


def _unavailable(reason: ErrorReason.ValueType, who: str, cause: str) -> UnavailableError:
    return UnavailableError(reason, f"{who} cannot be reached", {"cause": cause}, retry_after=RETRY_SECONDS)
