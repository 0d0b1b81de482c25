"""Clients of the services that the gateway calls: the scheduler for schedules, the engines for pipelines."""

import asyncio
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
from ordinaut.telemetry import error_id
from ordinaut.v1.error_pb2 import ErrorReason

Response = TypeVar("Response")
CHECK_SECONDS = 10.0
PREVIEW_SECONDS = 1.0
SIMULATION_SECONDS = 300.0
CONNECT_SECONDS = 1.0
HEALTH_SECONDS = 0.5
RETRY_SECONDS = 1.0
# Codes that do not depend on the request: the process is down, starting, or overloaded.
UNAVAILABLE_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


class _InternalClient:
    """The channel to one process of another service, with its metadata and health check."""

    def __init__(self, address: str, token: str) -> None:
        self.channel = internal_channel(address)
        self.metadata = internal_metadata(token)
        self._health: Any = health_pb2_grpc.HealthStub(self.channel)

    async def health(self) -> str:
        """Returns `SERVING`, another serving status, or the gRPC code of the failed health check."""
        try:
            response = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_SECONDS)
        except grpc.aio.AioRpcError as failure:
            return failure.code().name
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


class SchedulerClient:
    """The client of the scheduler; create it inside the running event loop.

    Every method raises UnavailableError with SCHEDULER_UNAVAILABLE.
    """

    def __init__(self, address: str, token: str) -> None:
        self._client = _InternalClient(address, token)
        self._stub: Any = SchedulerServiceStub(self._client.channel)

    async def validate(
        self, request: ValidateScheduleRequest, *, seconds: float = CHECK_SECONDS
    ) -> ValidateScheduleResponse:
        """Validates and completes a schedule and computes its next times; `seconds` is the timeout."""
        call = self._stub.ValidateSchedule(request, timeout=seconds, metadata=self._client.metadata)
        response: ValidateScheduleResponse = await _scheduler_response(call)
        return response

    async def instants(self, request: ListInstantsRequest) -> ListInstantsResponse:
        """Lists the instants of a stored schedule in a time range."""
        call = self._stub.ListInstants(request, timeout=CHECK_SECONDS, metadata=self._client.metadata)
        response: ListInstantsResponse = await _scheduler_response(call)
        return response

    async def locate(self, request: LocateMomentRequest) -> LocateMomentResponse:
        """Returns the instants of a stored schedule at, before and after a time."""
        call = self._stub.LocateMoment(request, timeout=CHECK_SECONDS, metadata=self._client.metadata)
        response: LocateMomentResponse = await _scheduler_response(call)
        return response

    async def simulate(self, request: SimulateRequest) -> AsyncGenerator[SimulateResponse, None]:
        """Simulates a task; closing the iterator cancels the call."""
        call = self._stub.Simulate(request, timeout=SIMULATION_SECONDS, metadata=self._client.metadata)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as failure:
            raise _to_error(failure, ErrorReason.SCHEDULER_UNAVAILABLE, "the scheduler") from failure
        finally:
            call.cancel()

    async def health(self) -> str:
        """Returns `SERVING`, or why not."""
        return await self._client.health()

    async def close(self) -> None:
        """Closes the channel."""
        await self._client.channel.close()


class EngineClient:
    """The client of the engines: calls them in rotation and skips unavailable ones; create it in the running loop.

    Every method raises UnavailableError with ENGINE_UNAVAILABLE if no engine is available.
    """

    def __init__(self, addresses: Sequence[str], token: str) -> None:
        self._clients = [_InternalClient(address, token) for address in addresses]
        self._rotation = itertools.count()

    async def validate_pipeline(self, request: ValidatePipelineRequest) -> ValidatePipelineResponse:
        """Validates a pipeline."""
        return await self._call(lambda stub, **options: stub.ValidatePipeline(request, **options))

    async def validate_tool(self, request: ValidateToolRequest) -> ValidateToolResponse:
        """Validates the schemas and the transport of a tool."""
        return await self._call(lambda stub, **options: stub.ValidateTool(request, **options))

    async def validate_value(self, request: ValidateValueRequest) -> ValidateValueResponse:
        """Validates a value against a JSON Schema."""
        return await self._call(lambda stub, **options: stub.ValidateValue(request, **options))

    async def simulate_run(self, request: SimulateRunRequest) -> SimulateRunResponse:
        """Simulates a run."""
        return await self._call(lambda stub, **options: stub.SimulateRun(request, **options))

    async def health(self) -> str:
        """Returns `SERVING` if any engine is serving, else the status of the last one."""
        status = "UNKNOWN"
        for client in self._clients:
            status = await client.health()
            if status == "SERVING":
                break
        return status

    async def close(self) -> None:
        """Closes the channels."""
        for client in self._clients:
            await client.channel.close()

    async def _call(self, start: Callable[..., Awaitable[Response]]) -> Response:
        """Calls the first engine with a connection, once.

        A request that may have been sent is not sent to another engine: if it is what ended the first one, it would end
        all of them.
        """
        client = await self._connected()
        stub: Any = PipelineEngineServiceStub(client.channel)
        call = start(stub, timeout=CHECK_SECONDS, metadata=client.metadata)
        return await _response(call, ErrorReason.ENGINE_UNAVAILABLE, "the pipeline engine")

    async def _connected(self) -> _InternalClient:
        """Returns the next engine in the rotation with a connection, waiting for those that are not connected yet."""
        first = next(self._rotation) % max(1, len(self._clients))
        clients = [*self._clients[first:], *self._clients[:first]]
        for client in clients:
            if client.channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
                return client
        connected = await _first_connected(clients)
        if connected is not None:
            return connected
        cause = ConnectionError("no connection" if clients else "no address is configured")
        raise _unavailable(ErrorReason.ENGINE_UNAVAILABLE, "the pipeline engine", cause)


async def _first_connected(clients: Sequence[_InternalClient]) -> _InternalClient | None:
    connecting = {asyncio.ensure_future(client.channel.channel_ready()): client for client in clients}
    if not connecting:
        return None
    connected, others = await asyncio.wait(connecting, timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return connecting[connected.pop()] if connected else None


async def _scheduler_response(call: Awaitable[Response]) -> Response:
    return await _response(call, ErrorReason.SCHEDULER_UNAVAILABLE, "the scheduler")


async def _response(call: Awaitable[Response], reason: ErrorReason.ValueType, service: str) -> Response:
    try:
        return await call
    except grpc.aio.AioRpcError as failure:
        raise _to_error(failure, reason, service) from failure


def _to_error(failure: grpc.aio.AioRpcError, reason: ErrorReason.ValueType, service: str) -> Exception:
    """Converts a failure of an unavailable service; any other failure is a defect and is returned unchanged."""
    return _unavailable(reason, service, failure) if failure.code() in UNAVAILABLE_CODES else failure


def _unavailable(reason: ErrorReason.ValueType, service: str, cause: BaseException) -> UnavailableError:
    reference = error_id("service_unavailable", cause, service=service)
    text = f"{service} is unavailable; retry (error {reference})"
    return UnavailableError(reason, text, {"error_id": reference}, retry_after=RETRY_SECONDS)
