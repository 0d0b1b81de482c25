"""What every call shares: a deadline, checks of its values, metrics, and the error of a gateway that shuts down."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.rpc.code_pb2 import Code
from prometheus_client import Histogram

from gateway.api.message_checks import require_wellformed
from ordinaut.errors import OrdinautError, UnavailableError
from ordinaut.rpc.interceptor import Context, Guard
from ordinaut.rpc.server import Registration
from ordinaut.v1.error_pb2 import ErrorReason

DEFAULT_DEADLINE_SECONDS = 30.0
MAX_DEADLINE_SECONDS = 300.0  # whatever a caller allows: nobody holds a connection for ever
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CALLS = Histogram("ordinaut_gateway_call_seconds", "Calls by method and code", ("method", "code"), buckets=BUCKETS)
RETRY_SECONDS = 0.2


def registration(servicer: Any, service: ServiceDescriptor, add: Callable[[Any, Any], None]) -> Registration:
    """A servicer whose every method keeps the rules of this module."""
    methods = {method.name: _wrapped(getattr(servicer, method.name), method) for method in service.methods}
    return Registration(add, SimpleNamespace(**methods), service.full_name)


def counted(guard: Guard) -> Guard:
    """A guard whose refusals are counted; what it lets in is counted at its end."""

    async def count(method: str, context: Context) -> None:
        with _Measured(method):
            await guard(method, context)

    return count


class _Measured:
    """Counts a block that fails, under its error's code; `done` counts it as a success."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._start = time.perf_counter()

    def __enter__(self) -> "_Measured":
        return self

    def __exit__(self, _type: object, failure: BaseException | None, _trace: object) -> None:
        if failure is not None:
            self._observe(_code_of(failure))

    def done(self) -> None:
        """The call ended well."""
        self._observe("OK")

    def _observe(self, code: str) -> None:
        CALLS.labels(self._method, code).observe(time.perf_counter() - self._start)


def _wrapped(inner: Any, method: MethodDescriptor) -> Any:
    path = f"/{method.containing_service.full_name}/{method.name}"
    return _streaming(inner, path) if method.server_streaming else _unary(inner, path)


def _unary(inner: Any, path: str) -> Any:
    async def call(request: Any, context: Context) -> Any:
        with _Measured(path) as measured:
            require_wellformed(request)
            async with asyncio.timeout(_seconds(context.time_remaining())):
                answer = await inner(request, context)
            measured.done()
            return answer

    return call


def _seconds(left: float | None) -> float | None:
    """How long a call may take whose deadline is `left` away; None: grpc itself ends it there."""
    if left is None:
        return DEFAULT_DEADLINE_SECONDS
    return MAX_DEADLINE_SECONDS if left > MAX_DEADLINE_SECONDS else None


def _streaming(inner: Any, path: str) -> Any:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        with _Measured(path) as measured:
            require_wellformed(request)
            async for answer in inner(request, context):
                yield answer
            measured.done()

    return call


def _code_of(failure: BaseException) -> str:
    if isinstance(failure, OrdinautError):
        return str(Code.Name(failure.code))
    if isinstance(failure, TimeoutError):
        return "DEADLINE_EXCEEDED"
    return "CANCELLED" if isinstance(failure, asyncio.CancelledError | GeneratorExit) else "INTERNAL"


def stopping() -> UnavailableError:
    """Ends a long stream, so that nobody has to wait for it."""
    return UnavailableError(ErrorReason.CALL_CANCELLED, "this gateway stops; call again", retry_after=RETRY_SECONDS)
