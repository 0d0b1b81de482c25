"""The client repeats calls while the gateway is unavailable, with one request_id, and tries its other addresses."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from gateway.services import DESCRIPTORS
from ordinaut.client import ApiError, Client
from ordinaut.client.retry import RetryPolicy
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import WatchEventsResponse
from ordinaut.v1.event_service_pb2_grpc import EventServiceServicer, add_EventServiceServicer_to_server
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import GetTaskRequest, RunTaskRequest
from ordinaut.v1.task_service_pb2_grpc import TaskServiceServicer, add_TaskServiceServicer_to_server

QUICK = RetryPolicy(give_up_after=5, initial_delay=0.01, max_delay=0.02)
NOWHERE = "127.0.0.1:9"
CHANGING = ("Create", "Update", "Delete", "Put", "Pause", "Resume", "Run", "Cancel", "Retry", "Publish", "Answer")


class Flaky(TaskServiceServicer, EventServiceServicer):
    """A gateway that refuses its first calls with a code."""

    def __init__(self, failures: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.failures = failures
        self.code = code
        self.requests: list[Any] = []
        self.port = 0

    async def _answer(self, request: Any, context: Any, answer: Any) -> Any:
        self.requests.append(request)
        if len(self.requests) <= self.failures:
            await context.abort(self.code, "not now")
        return answer

    async def GetTask(self, request: Any, context: Any) -> Task:  # noqa: N802
        return await self._answer(request, context, Task(name="tasks/a"))  # type: ignore[no-any-return]

    async def RunTask(self, request: Any, context: Any) -> Run:  # noqa: N802
        return await self._answer(request, context, Run(name="runs/1"))  # type: ignore[no-any-return]

    async def WatchEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        yield await self._answer(request, context, WatchEventsResponse(event=Event(position=7)))


def flaky_gateway(failures: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> Flaky:
    make: Any = Flaky  # its other methods are abstract for mypy, and never called
    flaky: Flaky = make(failures, code)
    return flaky


@asynccontextmanager
async def serving(flaky: Flaky) -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_TaskServiceServicer_to_server(flaky, server)
    add_EventServiceServicer_to_server(flaky, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_reads_are_repeated_while_the_gateway_is_unavailable() -> None:
    flaky = flaky_gateway(failures=3)
    async with serving(flaky) as address, Client(address, retry=QUICK) as client:
        assert (await client.tasks.GetTask(GetTaskRequest(name="tasks/a"))).name == "tasks/a"
    assert len(flaky.requests) == 4


@pytest.mark.parametrize("chosen", ["", "mine"])
async def test_changes_are_repeated_with_one_request_id(chosen: str) -> None:
    """The caller's own, or one that the client sets; the caller's message stays as it is."""
    flaky, request = flaky_gateway(failures=2), RunTaskRequest(name="tasks/a", request_id=chosen)
    async with serving(flaky) as address, Client(address, retry=QUICK) as client:
        await client.tasks.RunTask(request)
        await client.tasks.RunTask(request)
    first, second = {sent.request_id for sent in flaky.requests[:3]}, {sent.request_id for sent in flaky.requests[3:]}
    assert len(first) == len(second) == 1
    assert "" not in first
    assert (first == second == {"mine"}) if chosen else first.isdisjoint(second)
    assert request.request_id == chosen


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL,
     grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED],
)  # fmt: skip
async def test_other_errors_are_raised_at_once(code: grpc.StatusCode) -> None:
    flaky = flaky_gateway(failures=1, code=code)
    async with serving(flaky) as address, Client(address, retry=QUICK) as client:
        with pytest.raises(ApiError, match=code.name):
            await client.tasks.GetTask(GetTaskRequest(name="tasks/a"))
    assert len(flaky.requests) == 1


@pytest.mark.parametrize(
    ("retry", "timeout"), [(RetryPolicy(give_up_after=0.3, max_delay=0.05), 30.0), (RetryPolicy(max_delay=0.05), 0.3)]
)
async def test_retries_end_with_the_policy_or_the_deadline(retry: RetryPolicy, timeout: float) -> None:
    async with Client(NOWHERE, retry=retry) as client:
        start = time.monotonic()
        get: Callable[..., Any] = client.tasks.GetTask
        with pytest.raises(ApiError) as failed:
            await get(GetTaskRequest(name="tasks/a"), timeout=timeout)
        assert time.monotonic() - start < 5
    assert failed.value.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}


async def test_a_policy_of_zero_seconds_makes_one_attempt() -> None:
    flaky = flaky_gateway(failures=1)
    async with serving(flaky) as address, Client(address, retry=RetryPolicy(give_up_after=0)) as client:
        with pytest.raises(ApiError, match="UNAVAILABLE"):
            await client.tasks.GetTask(GetTaskRequest(name="tasks/a"))


async def test_the_next_address_is_used_when_one_is_unavailable() -> None:
    """And kept; a broken stream resumes there too."""
    first, second = flaky_gateway(failures=10_000), flaky_gateway(failures=0)
    async with serving(first) as broken, serving(second) as good:
        async with Client(f"{NOWHERE}, {broken},{good}", retry=QUICK) as client:
            for _ in range(3):
                await client.tasks.GetTask(GetTaskRequest(name="tasks/a"))
        assert (len(first.requests), len(second.requests)) == (1, 3)
        async with Client(f"{broken},{good}", retry=QUICK) as client:
            async for event in client.watch_events("a.b", after_position=0, retry=QUICK):
                assert event.position == 7
                break


@pytest.mark.parametrize("address", ["", " , "])
async def test_an_address_is_required(address: str) -> None:
    with pytest.raises(ValueError, match="at least one address"):
        Client(address)


def test_every_method_that_changes_something_takes_a_request_id() -> None:
    """So that a method without one is a read, which may be repeated."""
    for service in DESCRIPTORS:
        for method in service.methods:
            if method.name.startswith(CHANGING):
                assert "request_id" in method.input_type.fields_by_name, method.full_name
