"""What a run asks of its surroundings while it is interpreted, and how it ends.

The interpreter yields these and is sent the answers; who drives it performs them: over a stream, or in a test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.data.failure import Failure
from pipeline_engine.language.secret_places import SecretUse
from pipeline_engine.tools.definition import Tool

Entries = Sequence[JournalEntry]


@dataclass(frozen=True, slots=True)
class Commit:
    """Make the entries durable; answered with None when they are."""

    entries: Entries


@dataclass(frozen=True, slots=True)
class Perform:
    """Make the entries durable and perform `step` on Ordinaut's own stores; answered with the recorded entry."""

    entries: Entries
    step: JournalEntry
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Call:
    """Call a tool over the network for an attempt of a step; answered with its output or a Failure.

    `timeout` in seconds. Where `secrets` are named, `input` and `body` hold references to them.
    """

    tool: Tool
    input: Any
    body: bytes
    idempotency_key: str
    timeout: float
    path: str
    attempt: int
    secrets: SecretUse | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let `seconds` pass; answered with None."""

    seconds: float


Request = Commit | Perform | Call | Sleep


@dataclass(frozen=True, slots=True)
class Output:
    """What a tool answered, parsed."""

    value: Any


Answer = JournalEntry | Output | Failure | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The run has ended: SUCCEEDED with an output or FAILED with an error, both JSON."""

    entries: Entries
    state: str
    output: bytes = b""
    error: bytes = b""


@dataclass(frozen=True, slots=True)
class Delayed:
    """The run goes on after `delay_ms`, without an engine until then."""

    entries: Entries
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Suspended:
    """The run goes on, without an engine until then, when one of the waits is over, or after `wake_ms` (0: never)."""

    entries: Entries
    waits: Sequence[Wait]
    wake_ms: int


Ending = Finished | Delayed | Suspended


class ToolPort(Protocol):
    """Calls tools over the network."""

    async def call(self, request: Call) -> Output | Failure:
        """Calls once; every outcome is data. Time limits are the caller's, by cancelling."""
        ...
