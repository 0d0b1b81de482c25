"""What a strand asks of the execution around it, and how it can end early."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Answer, Call, Sleep


@dataclass(frozen=True, slots=True)
class Stopped:
    """`orchestrator.stop` was reached; the output is JSON."""

    output: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """A step has failed and nothing around it has handled that yet."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Expired:
    """The run has run out of time, which no step handles."""

    failure: Failure


Signal = Stopped | Failed | Expired


@dataclass(frozen=True, slots=True)
class Until:
    """Go on once the entry of that number is durable."""

    mark: int


@dataclass(frozen=True, slots=True)
class Act:
    """Have the worker perform `step`; answered with the recorded entry."""

    step: JournalEntry
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Fork:
    """Run so many strands, at most `at_most` at once; answered with None, or with the signal that ended one early."""

    count: int
    at_most: int
    make: "Callable[[int], Steps]"


Wish = Until | Act | Fork | Call | Sleep | Wait
Steps = Generator[Wish, "Answer | Signal", Signal | None]
"""A strand: it says what it needs, and at its end None or what ended it early. A Wait is never answered."""
Attempt = Generator[Wish, "Answer | Signal", Failure | Signal | None]
"""A part of a strand that may fail."""
