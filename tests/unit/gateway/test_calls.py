"""Every call has an end, and is counted under its outcome."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from gateway.api import calls
from gateway.api.calls import count_rejections, registration
from ordinaut.errors import InvalidArgumentError, NotFoundError
from ordinaut.v1 import run_service_pb2
from ordinaut.v1.run_service_pb2 import GetRunRequest, WatchRunRequest, WatchRunResponse

SERVICE = run_service_pb2.DESCRIPTOR.services_by_name["RunService"]
PATH = "/ordinaut.v1.RunService/"


def context(remaining: float | None = None) -> Any:
    return SimpleNamespace(time_remaining=lambda: remaining, invocation_metadata=tuple)


def served(**methods: Any) -> Any:
    """A servicer whose other methods are never called."""
    every: dict[str, Any] = {method.name: None for method in SERVICE.methods}
    return registration(SimpleNamespace(**{**every, **methods}), SERVICE, lambda _servicer, _server: None).servicer


def count(method: str, code: str) -> float:
    labels = {"method": PATH + method, "code": code}
    return REGISTRY.get_sample_value("ordinaut_gateway_call_seconds_count", labels) or 0.0


async def test_a_call_without_a_deadline_gets_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a deadline keeps its own."""
    monkeypatch.setattr(calls, "DEFAULT_DEADLINE_SECONDS", 0.01)

    async def endless(_request: Any, _context: Any) -> None:
        await asyncio.Event().wait()

    before = count("GetRun", "DEADLINE_EXCEEDED")
    with pytest.raises(TimeoutError):
        await served(GetRun=endless).GetRun(GetRunRequest(), context())
    assert count("GetRun", "DEADLINE_EXCEEDED") == before + 1

    async def quick(_request: Any, _context: Any) -> str:
        await asyncio.sleep(0.05)  # longer than the default: time itself is what is tested
        return "done"

    assert await served(GetRun=quick).GetRun(GetRunRequest(), context(10.0)) == "done"


async def test_calls_are_counted_by_code() -> None:
    """Answers, refusals, broken requests and cancelled streams alike; refusals of the guard too."""

    async def refuse(_request: Any, _context: Any) -> None:
        raise NotFoundError.of("runs/x")

    async def watch(_request: Any, _context: Any) -> Any:
        yield WatchRunResponse()

    async def closed(_method: str, _context: Any) -> None:
        raise InvalidArgumentError.of([])

    names = [("GetRun", "NOT_FOUND"), ("GetRun", "INVALID_ARGUMENT"), ("WatchRun", "OK"), ("WatchRun", "CANCELLED")]
    before = [count(*name) for name in names]
    servicer = served(GetRun=refuse, WatchRun=watch)
    with pytest.raises(NotFoundError):
        await servicer.GetRun(GetRunRequest(), context())
    with pytest.raises(InvalidArgumentError):
        await servicer.GetRun(GetRunRequest(name="\0"), context())
    assert [answer async for answer in servicer.WatchRun(WatchRunRequest(), context())] == [WatchRunResponse()]
    broken = servicer.WatchRun(WatchRunRequest(), context())
    await anext(broken)
    await broken.aclose()
    assert [count(*name) for name in names] == [number + 1 for number in before]
    with pytest.raises(InvalidArgumentError):
        await count_rejections(closed)(PATH + "GetRun", context())
    assert count("GetRun", "INVALID_ARGUMENT") == before[1] + 2


def test_a_missing_method_prevents_the_start() -> None:
    """Not the first caller."""
    with pytest.raises(AttributeError):
        registration(SimpleNamespace(), SERVICE, lambda _servicer, _server: None)
