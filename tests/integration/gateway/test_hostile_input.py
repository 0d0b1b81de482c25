"""Whatever is sent, the answer is readable: never UNKNOWN, never INTERNAL."""

import math
import os
import random
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest_asyncio
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Value

from gateway.services import DESCRIPTORS
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from tests.integration.support.gateway_system import GatewaySystem, a_task, gateway_system
from tests.sample import amount

# Calls of each method; ORDINAUT_FUZZ_ROUNDS=1100 makes some fifty thousand, ORDINAUT_FUZZ_SEED other ones.
ROUNDS = amount("ORDINAUT_FUZZ_ROUNDS", 15, 45)
SEED = int(os.environ.get("ORDINAUT_FUZZ_SEED", "20261123"))
METHODS = [method for service in DESCRIPTORS for method in service.methods]
TEXTS = [
    "", " ", "a", "one", "tasks/one", "tasks/..", "runs/x", "agents/admin", "agents/admin/tokens/0123456789abcdef",
    "tools/a.b", "tools/orchestrator.set", "state/a/b", "state/a", "a.b", "*", ">", "ordinaut.x", "' OR 1=1 --", "%_",
    "\x00", "\x1b[31m", "\u202e", "x" * 300, "ü", "* * * * *", "FREQ=DAILY", "Europe/Berlin", "../../etc/passwd",
    "${a${b}}", "{{ x }}", "2026-01-01T00:00:00Z", "admin", "tasks:read", "http://127.0.0.1/", "file:///etc/passwd",
    "01a208f2-7e21-7792-beb8-3ec69593a833", "runs/01a208f2-7e21-7792-beb8-3ec69593a833",
]  # fmt: skip
NUMBERS = [0, 1, -1, 5, 10, 64, 1000, 2**31 - 1, -(2**31)]
LARGE = [*NUMBERS, 2**53, 2**63 - 1, -(2**63)]
FLOATS = [0.0, -0.0, 1.5, -1.0, 2.0**53, 1e308, math.nan, math.inf, -math.inf]
WORDS = ["steps", "id", "uses", "with", "if", "a", "$ref", "type", "properties", "output", "on_error", "version"]


@pytest_asyncio.fixture
async def system(database_url: str) -> AsyncIterator[GatewaySystem]:
    async with gateway_system(database_url) as started:
        yield started


class Sender:
    """Makes messages of any type out of values that have broken programs before."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def fill(self, message: Message, depth: int = 0) -> None:
        """Sets some of the fields."""
        if isinstance(message, Value):
            self._value(message, depth)
            return
        for field in message.DESCRIPTOR.fields:
            if self._random.random() < 0.6 / (1 + depth / 4):
                self._field(message, cast("FieldDescriptor", field), depth + 1)

    def _field(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            entries = getattr(message, field.name)
            for _ in range(self._random.randint(0, 3)):
                key = self._random.choice(WORDS + TEXTS)
                if entry.fields_by_name["value"].message_type is not None:
                    self.fill(entries[key], depth + 1)
                else:
                    entries[key] = self._random.choice(TEXTS)
        elif field.is_repeated:
            for _ in range(self._random.randint(0, 3)):
                self._append(getattr(message, field.name), field, depth)
        elif entry is not None:
            getattr(message, field.name).SetInParent()
            self.fill(getattr(message, field.name), depth + 1)
        else:
            setattr(message, field.name, self._scalar(field))

    def _append(self, items: Any, field: FieldDescriptor, depth: int) -> None:
        if field.message_type is not None:
            self.fill(items.add(), depth + 1)
        else:
            items.append(self._scalar(field))

    def _scalar(self, field: FieldDescriptor) -> Any:
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING:
                return self._random.choice(TEXTS)
            case FieldDescriptor.CPPTYPE_BOOL:
                return self._random.random() < 0.5
            case FieldDescriptor.CPPTYPE_DOUBLE:
                return self._random.choice(FLOATS)
            case FieldDescriptor.CPPTYPE_INT64:
                return self._random.choice(LARGE)
        return self._random.choice(NUMBERS)

    def _value(self, value: Value, depth: int) -> None:
        kind = self._random.randrange(6 if depth < 12 else 4)
        if kind == 0:
            value.string_value = self._random.choice(TEXTS)
        elif kind == 1:
            value.number_value = self._random.choice(FLOATS)
        elif kind == 2:
            value.bool_value = True
        elif kind == 4:
            self.fill(value.struct_value, depth + 1)
        elif kind == 5:
            self.fill(value.list_value, depth + 1)


async def code_of(call: Any) -> str:
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                break
        else:
            await call
    except grpc.aio.AioRpcError as failure:
        return f"{failure.code().name} {failure.details()}"
    return "OK"


async def test_no_request_causes_an_internal_error(system: GatewaySystem) -> None:
    """Every method, with fields that contradict each other and values of the worst kind."""
    await system.admin.tasks.CreateTask(CreateTaskRequest(task=a_task(), task_id="one"))
    await system.admin.tasks.RunTask(RunTaskRequest(name="tasks/one"))
    metadata = (("authorization", f"Bearer {system.admin.token}"),)
    sender = Sender(SEED)
    codes: set[str] = set()
    for method in METHODS:
        path = f"/{method.containing_service.full_name}/{method.name}"
        open_call: Any = system.channel.unary_stream if method.server_streaming else system.channel.unary_unary
        call = open_call(path, lambda message: message.SerializeToString(), None)
        for _ in range(ROUNDS):
            request = GetMessageClass(method.input_type)()
            sender.fill(request)
            outcome = await code_of(call(request, metadata=metadata, timeout=0.3 if method.server_streaming else 10))
            code = outcome.partition(" ")[0]
            codes.add(code)
            assert code not in {"UNKNOWN", "INTERNAL", "CANCELLED"}, (method.full_name, request, outcome)
    assert {"OK", "INVALID_ARGUMENT", "NOT_FOUND"} <= codes
