"""Requests of a run to its environment, and the ways in which a segment of the run ends.

The interpreter yields these and receives the responses; the driver performs them: over a stream, or in a test. A
segment is the time from a claim until the run finishes, suspends or is delayed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.data.failure import Failure
from pipeline_engine.data.schemas import Check, Problem
from pipeline_engine.language.secret_places import SecretUse
from pipeline_engine.tools.definition import Tool

Entries = Sequence[JournalEntry]


@dataclass(frozen=True, slots=True)
class Commit:
    """Make the entries durable; the response is `None`."""

    entries: Entries


@dataclass(frozen=True, slots=True)
class Effect:
    """Apply `step` to Ordinaut's own stores, in the transaction that makes the entries durable.

    The response is the recorded entry of the step. A strand yields it without entries; the executor adds them.
    """

    step: JournalEntry
    idempotency_key: str
    entries: Entries = ()


@dataclass(frozen=True, slots=True)
class Call:
    """Call a tool over the network for one attempt of a step; the response is an Output or a Failure.

    `timeout` in seconds. With `secrets`, the `input` and the `body` contain references to them. With a `location`, the
    call was accepted earlier, and its result is polled there.
    """

    tool: Tool
    input: Any
    body: bytes
    idempotency_key: str
    timeout: float
    path: str
    attempt: int
    secrets: SecretUse | None = None
    location: str = ""


@dataclass(frozen=True, slots=True)
class CheckValue:
    """Check a value, as JSON, in a process that can be ended; the response is the first Problem, None or a Failure."""

    check: Check
    body: bytes


@dataclass(frozen=True, slots=True)
class Sleep:
    """Respond with `None` after `seconds`."""

    seconds: float


Request = Commit | Effect | Call | CheckValue | Sleep


@dataclass(frozen=True, slots=True)
class Output:
    """The parsed output of a tool; `details` describe the response, for a failure of its check.

    `size` is the length of the response in bytes, 0 if it is unknown. Once `is_checked`, `problem` is the result.
    """

    value: Any
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)
    size: int = field(default=0, compare=False)
    is_checked: bool = field(default=False, compare=False)
    problem: Problem | Failure | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The tool has accepted the call; its result is to be polled at `location` after `delay` seconds."""

    location: str
    delay: float


Response = JournalEntry | Output | Failure | Accepted | Problem | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The run has ended: SUCCEEDED with an output or FAILED with an error, both JSON."""

    entries: Entries
    state: str
    output: bytes = b""
    error: bytes = b""


@dataclass(frozen=True, slots=True)
class Delayed:
    """The run leaves the engine and resumes after `delay_ms`."""

    entries: Entries
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Suspended:
    """The run leaves the engine and resumes when one of the waits is resolved, or after `wake_ms` (0: never)."""

    entries: Entries
    waits: Sequence[Wait]
    wake_ms: int


Ending = Finished | Delayed | Suspended


class ToolPort(Protocol):
    """Calls tools over the network."""

    async def call(self, request: Call) -> Output | Failure | Accepted:
        """Calls the tool once; every outcome is data. The caller applies the timeout by cancellation."""
        ...


class CheckPort(Protocol):
    """Checks values in other processes."""

    async def check(self, request: CheckValue) -> Problem | Failure | None:
        """Returns the first problem of the value; a Failure if the check takes too long."""
        ...
