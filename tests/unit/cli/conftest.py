"""A fake gateway with prepared responses, which records requests; the command line runs against it."""

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import grpc
import pytest
import typer.main
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from ordinaut.cli.__main__ import main
from ordinaut.errors import OrdinautError
from ordinaut.rpc.status import DETAILS_KEY, to_status

CODES = {code.value[0]: code for code in grpc.StatusCode}
TOKEN = "ord_public_secret"
COMMAND_OF = cache(typer.main.get_command)  # which is four fifths of the time of a command, and always the same
Answer = Message | OrdinautError | Sequence[Message | OrdinautError]


@dataclass
class Gateway(grpc.GenericRpcHandler):
    """Answers `Method` with the entry of `answers`: a message, an error, or the messages of a stream.

    A method with several answers in `queue` gives one per call first.
    """

    address: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    queue: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    metadata: list[dict[str, str | bytes]] = field(default_factory=list)

    def service(
        self, details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any]":  # generic in the stubs alone
        service, _, name = str(details.method)[1:].rpartition("/")
        method = descriptor_pool.Default().FindServiceByName(service).FindMethodByName(name)
        request_class = message_factory.GetMessageClass(method.input_type)
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        behaviour = self._stream if method.server_streaming else self._unary
        return make(
            lambda request, context: behaviour(name, request, context),
            request_deserializer=request_class.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def requests(self, method: str) -> list[Any]:
        return [request for name, request in self.asked if name == method]

    def _next(self, name: str, request: Any, context: Any) -> Answer:
        self.asked.append((name, request))
        self.metadata.append(dict(context.invocation_metadata()))
        waiting = self.queue.get(name)
        return waiting.pop(0) if waiting else self.answers[name]

    def _unary(self, name: str, request: Any, context: Any) -> Message:
        answer = self._next(name, request, context)
        return _sent(answer, context)

    def _stream(self, name: str, request: Any, context: Any) -> Iterator[Message]:
        answers = self._next(name, request, context)
        for answer in answers if isinstance(answers, Sequence) else [answers]:
            yield _sent(answer, context)


def _sent(answer: Any, context: Any) -> Message:
    if isinstance(answer, OrdinautError):
        context.set_trailing_metadata(((DETAILS_KEY, to_status(answer).SerializeToString()),))
        context.abort(CODES[answer.code], answer.message)
    assert isinstance(answer, Message)
    return answer


@dataclass(frozen=True)
class Result:
    exit_code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    answering = Gateway()
    server = grpc.server(ThreadPoolExecutor(2), handlers=[answering])
    answering.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield answering
    server.stop(None).wait()


@pytest.fixture
def cli(gateway: Gateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `ordinaut ARGUMENTS…` against the gateway."""
    monkeypatch.setenv("ORDINAUT_ADDRESS", gateway.address)
    monkeypatch.setenv("ORDINAUT_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "40")  # not a terminal: no output may be truncated
    monkeypatch.setattr(typer.main, "get_command", COMMAND_OF)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["ordinaut", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Result(int(left.value.code or 0), said.out, said.err)

    return run
