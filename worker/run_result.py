"""Reports of an engine about a run: finished steps while it continues, and the result of its claim at the end."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Effect, JournalEntry, Wait
from ordinaut.telemetry import error_id

FAILED = "FAILED"
DELAYED = "DELAYED"
WAITING = "WAITING"
CANCELLED = "CANCELLED"
RETURNED = frozenset({DELAYED, WAITING})
"""States in which a run returns to the queue."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """Journal entries of a run, and the effect of the step after them, which the worker applies."""

    entries: Sequence[JournalEntry]
    effect: Effect | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a claim ends: SUCCEEDED or FAILED with output or error as JSON, CANCELLED, DELAYED by `delay_ms`, or WAITING.

    `entries` are journaled with it. A run in state WAITING resumes after `delay_ms` at the latest, unless that is 0.
    """

    state: str
    entries: Sequence[JournalEntry] = ()
    output: bytes = b""
    error: bytes = b""
    delay_ms: int = 0
    waits: Sequence[Wait] = ()
    replaces_rejected: bool = False

    @property
    def completes(self) -> bool:
        """Whether the run has ended by itself; else it was cancelled, or returns to the queue."""
        return self.state not in RETURNED and self.state != CANCELLED

    @classmethod
    def rejected(cls, failure: Exception) -> "RunResult":
        """The failure of a run after PostgreSQL rejected its data; it contains no data of the run."""
        reference = error_id("run_data_rejected", failure)
        error = {
            "code": "VALIDATION_OUTPUT",
            "message": f"the run's data cannot be stored (error {reference})",
            "retryable": False,
            "details": {"error_id": reference},
        }
        return cls(FAILED, error=orjson.dumps(error), replaces_rejected=True)
