"""A strand as the executor schedules it, and the entry of a step that is cut off when its strand is cancelled."""

from collections.abc import Generator
from typing import Any

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, Wait
from pipeline_engine.interpreter.journal import CANCELLED, STARTED, location_json
from pipeline_engine.interpreter.requests import Call
from pipeline_engine.interpreter.run import Run
from pipeline_engine.interpreter.strand_protocol import Fork, StrandRequest
from pipeline_engine.tools.definition import UNSAFE

ABOUT_A_CALL = "?"
"""Part of the paths of lookups and of questions about a call, which are not steps."""


class ScheduledStrand:
    """The generator of a strand with its parent and its children, and what it waits for.

    `fork` while it waits for children, of which it has `started` some; `request_id` while it waits for a response;
    `wakes`, a monotonic time, during a sleep; `wait` for a wait that outlasts the segment; `call` for the call of a
    tool. `since` is the monotonic time at which the wait or call began; `noted` whether the start of the call is in the
    journal.
    """

    __slots__ = (
        "call",
        "children",
        "ended",
        "fork",
        "generator",
        "noted",
        "parent",
        "request_id",
        "since",
        "started",
        "wait",
        "wakes",
    )

    def __init__(self, generator: Generator[StrandRequest, Any, Any], parent: "ScheduledStrand | None" = None) -> None:
        self.generator = generator
        self.parent = parent
        self.fork: Fork | None = None
        self.started = 0
        self.children: set[ScheduledStrand] | None = None
        self.request_id = 0
        self.wakes: float | None = None
        self.wait: Wait | None = None
        self.call: Call | None = None
        self.since = 0.0
        self.noted = False
        self.ended = False

    def cancelled_entry(self, run: Run, *, call_sent: bool) -> JournalEntry | None:
        """Returns the CANCELLED entry of the step that waits or is being called; None when no step has started.

        The call of an UNSAFE tool keeps the RUNNING entry of its start, because its outcome is unknown. A wait that an
        earlier segment requested is yielded with its path only; its other fields come from the journal.
        """
        if self.wait is None:
            return self.call_entry(run, CANCELLED) if call_sent else None
        requested = run.journal.waits.get(self.wait.path)
        source = requested if requested is not None else self.wait
        return _unless_about_a_call(
            JournalEntry(
                path=self.wait.path,
                attempt=1,
                state=CANCELLED,
                tool=source.tool,
                input=source.input,
                start_us=self._since_us(run) if requested is None else requested.start_us,
                end_us=run.now_us(),
            )
        )

    def call_entry(self, run: Run, state: str) -> JournalEntry | None:
        """Returns an entry of the call in flight, which has no end yet; None without one, and for an UNSAFE tool."""
        call = self.call
        if call is None or call.tool.effect == UNSAFE:
            return None
        replayed = run.start_times is not None
        return _unless_about_a_call(
            JournalEntry(
                path=call.path,
                attempt=call.attempt,
                state=state,
                tool=call.tool.name,
                input=call.body,
                output=location_json(call.location) if state == STARTED else b"",
                start_us=run.attempt_start_us(call.path, call.attempt) if replayed else self._since_us(run),
                end_us=run.now_us(),
            )
        )

    def _since_us(self, run: Run) -> int:
        return run.now_us() - round((run.clock.monotonic() - self.since) * 1_000_000)


def _unless_about_a_call(entry: JournalEntry) -> JournalEntry | None:
    return None if ABOUT_A_CALL in entry.path else entry
