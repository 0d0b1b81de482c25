"""Errors show no address, port, statement, file, traceback or part of a secret, whatever fails."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import MagicMock

import asyncpg
import grpc
import pytest
import pytest_asyncio
from google.protobuf import json_format, message_factory

from gateway.authentication.caller import CALLER
from gateway.services import DESCRIPTORS
from ordinaut.v1.agent_service_pb2 import WhoAmIRequest
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, PreviewScheduleRequest, ValidateTaskRequest
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system, refusal

LEAK = "10.1.2.3 db.internal 5433 postgresql://ordinaut:hunter22@db.internal /srv/key.pem relation agent_token"
INTERNALS = (*LEAK.split(), "hunter22", "Traceback", "asyncpg", ".py", "Errno", "SELECT", "127.0.0.1", "ipv4:")
FAILURES = (
    ConnectionRefusedError(111, LEAK),
    OSError(113, LEAK),
    TimeoutError(LEAK),
    ssl.SSLError(1, LEAK),
    asyncpg.CannotConnectNowError(LEAK),
    asyncpg.TooManyConnectionsError(LEAK),
    asyncpg.InvalidPasswordError(LEAK),
    asyncpg.UndefinedTableError(LEAK),
    asyncpg.UniqueViolationError(LEAK),
    asyncpg.DataError(LEAK),
    asyncpg.InterfaceError(LEAK),
    asyncpg.DeadlockDetectedError(LEAK),
    RuntimeError(LEAK),
    KeyError(LEAK),
    UnicodeDecodeError("utf-8", b"x", 0, 1, LEAK),
)
ERROR_ID = re.compile("[0-9a-f]{16}")  # random, and may have the digits of the port
METHODS = [(service, method) for service in DESCRIPTORS for method in service.methods]


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


def leaks(refused: grpc.aio.AioRpcError) -> list[str]:
    text = ERROR_ID.sub("", f"{refused.details()} {refused.trailing_metadata()}")
    return [word for word in INTERNALS if word in text]


async def failure_of(system: GatewaySystem, service: Any, method: Any) -> grpc.aio.AioRpcError | None:
    request = message_factory.GetMessageClass(method.input_type)()
    make = system.channel.unary_stream if method.server_streaming else system.channel.unary_unary
    send: Any = make(
        f"/{service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=lambda data: data,
    )
    call = send(request, metadata=(("authorization", f"Bearer {system.admin.token}"),), timeout=20)
    try:
        if method.server_streaming:
            async for _ in call:
                break
        else:
            await call
    except grpc.aio.AioRpcError as refused:
        return refused
    return None


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_no_method_shows_a_failure_of_the_database(
    system: GatewaySystem, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    acquire = asyncpg.pool.Pool.acquire

    class Broken:
        async def __aenter__(self) -> None:
            raise failure

        async def __aexit__(self, *_: object) -> None:
            return None

    def acquire_or_fail(pool: Any, **options: Any) -> Any:
        in_a_call = CALLER.get(None) is not None  # the loops of the gateway continue
        return Broken() if in_a_call else acquire(pool, **options)

    monkeypatch.setattr("asyncpg.pool.Pool.acquire", acquire_or_fail)
    monkeypatch.setattr("ordinaut.rpc.interceptor.log", MagicMock())  # it prints a traceback for each call
    found = await asyncio.gather(*(failure_of(system, *each) for each in METHODS))
    refused = [each for each in found if each is not None]
    assert [each for each in refused if leaks(each)] == []
    ids = [each for each in refused if "error_id" in str(each.trailing_metadata())]
    assert ids or isinstance(failure, asyncpg.DeadlockDetectedError)  # which is to be repeated


async def test_lost_services_are_named_by_their_purpose(system: GatewaySystem) -> None:
    await asyncio.gather(system.scheduler.stop(0), system.engine.stop(0))
    tool = json_format.ParseDict({"tool": {"http": {"url": "https://h.example/"}}, "tool_id": "t"}, CreateToolRequest())
    task = a_task(schedule={"triggers": [{"cron": "0 7 * * *"}]})
    for call in (
        system.admin.tools.CreateTool(tool),
        system.admin.tasks.CreateTask(CreateTaskRequest(task=task, task_id="t")),
        system.admin.tasks.ValidateTask(ValidateTaskRequest(task=task)),
        system.admin.tasks.PreviewSchedule(PreviewScheduleRequest(schedule=task.schedule)),
    ):
        refused = await refusal(call)
        assert refused.code == "UNAVAILABLE"
        assert len(refused.metadata["error_id"]) == 16
        assert set(refused.metadata) == {"error_id"}


@pytest.mark.parametrize("start", [6, 12, 20, 60])
async def test_a_refused_token_is_not_repeated(system: GatewaySystem, start: int) -> None:
    refused = await refusal(system.caller(system.admin.token[:start]).agents.WhoAmI(WhoAmIRequest()))
    assert refused.code == "UNAUTHENTICATED"
    assert system.admin.token[4:12] not in str(refused)
