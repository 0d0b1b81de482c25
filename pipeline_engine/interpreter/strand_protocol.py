"""The protocol between strands and the executor: what a strand yields, and how it can end early."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Wait
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, CheckValue, Effect, Response, Sleep


@dataclass(frozen=True, slots=True)
class Stopped:
    """`orchestrator.stop` was executed; the output is JSON."""

    output: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """A step has failed, and no `on_error` around it has handled the failure yet."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Expired:
    """The run has exceeded its timeout or deadline or is cancelled; no `on_error` of a step handles this."""

    failure: Failure


Exit = Stopped | Failed | Expired
"""The reason why a line of steps ends before its last step."""


@dataclass(frozen=True, slots=True)
class AwaitDurable:
    """Resume when the journal entry with this number is durable."""

    number: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Run `count` strands, at most `max_parallel` at once; the response is None, or the Exit that ended one early."""

    count: int
    max_parallel: int
    start: "Callable[[int], StepsFlow]"


StrandRequest = AwaitDurable | Effect | Fork | Call | CheckValue | Sleep | Wait
StepsFlow = Generator[StrandRequest, "Response | Exit", Exit | None]
"""A line of steps: yields requests and returns None or an Exit. A Wait has no response: it ends the segment."""
StepFlow = Generator[StrandRequest, "Response | Exit", Failure | Exit | None]
"""One step, which may also fail."""
