"""Executes one run: a pure state machine that advances strands and returns the requests that are to be performed.

One write of a run is in flight at a time: a commit of entries, or the effects of every strand that waits to apply one,
which the worker applies together. Entries that are added until the write is durable go with the next one, so a result
never overtakes the entries before it, and the next engine does not resume from a journal with a hole.

No request leaves the executor before every strand has advanced as far as it can. A failure of one strand cancels its
siblings in the same pass, so a call that the failure makes superfluous is never sent, and a resumed run, which takes
the same path through its journal, does not repeat a call that was given up.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ordinaut.clock import Clock
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, RunStart, Wait
from ordinaut.limits import MAX_STEP_OUTPUTS_BYTES
from pipeline_engine.interpreter.flow.script import run_finally, run_script
from pipeline_engine.interpreter.journal import CANCELLED, STARTED
from pipeline_engine.interpreter.requests import (
    Call,
    CheckValue,
    Commit,
    Delayed,
    Effect,
    Ending,
    Finished,
    Request,
    Response,
    Sleep,
    Suspended,
)
from pipeline_engine.interpreter.retry import MAX_DELAY_IN_ENGINE_SECONDS
from pipeline_engine.interpreter.run import Guard, Run, StartTimes, roots_of
from pipeline_engine.interpreter.scheduled_strand import ScheduledStrand
from pipeline_engine.interpreter.strand_protocol import AwaitDurable, Exit, Fork, StepsFlow
from pipeline_engine.language.plan import Plan
from pipeline_engine.tools.definition import Tool

CHECKPOINT_SECONDS = 1.0
"""Age of calls and of unsent entries that a checkpoint makes durable."""
MAX_STRANDS = 200
"""Concurrent strands of one run; above this number, each fork runs one strand at a time."""


class Progress:
    """The result of one pass: new requests with their ids, and the ids of earlier requests that are cancelled."""

    __slots__ = ("cancelled", "requests")

    def __init__(self) -> None:
        self.requests: list[tuple[int, Request]] = []
        self.cancelled: Sequence[int] = ()


class Execution:
    """One segment of a run, from the end of its journal; `ending` is set when the segment is over.

    `start_times` are those of a run that is replayed; `hold` returns the seconds until a tool may be called again;
    `guard` refuses inputs of steps on Ordinaut's own stores; `params_check` is the check of params that were not
    checked before. A `discreet` execution has sensitive values.
    """

    discreet = False

    def __init__(
        self,
        plan: Plan,
        start: RunStart,
        clock: Clock,
        fraction: Callable[[str], float],
        start_times: StartTimes | None = None,
        outputs_max_bytes: float = MAX_STEP_OUTPUTS_BYTES,
        hold: Callable[[Tool], float] = lambda _tool: 0.0,
        params_check: CheckValue | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.ending: Ending | None = None
        self._run = Run(plan, start, clock, fraction, start_times, outputs_max_bytes, hold, guard)
        self.has_finally = bool(plan.final_steps)
        self._roots = roots_of(plan, start)
        self._root = ScheduledStrand(run_script(self._run, self._roots, params_check))
        self._ready: list[tuple[ScheduledStrand, Response | Exit]] = []
        self._pending: dict[int, ScheduledStrand] = {}
        self._writers: list[tuple[ScheduledStrand, AwaitDurable | Effect]] = []
        self._writing: set[ScheduledStrand] = set()
        self._checkpoint = ScheduledStrand(_no_steps())  # no strand waits for the write of a checkpoint
        self._checkpoint.ended = True
        self._waiting: list[ScheduledStrand] = []
        self._last_request_id = 0
        self._strands = 1
        self._sleeping = 0
        self._progress = Progress()

    def start(self) -> Progress:
        """Advances the run as far as possible."""
        return self._run_pass(self._root, None)

    def respond(self, request_id: int, response: Response) -> Progress:
        """Continues with the response to a request; the response to a cancelled one is ignored."""
        strand = self._pending.pop(request_id, None)
        if strand is None:
            return Progress()
        if strand in self._writing:
            self._writing.discard(strand)
            self._run.journal.mark_durable()
            if self._writers:
                self._wake_writers()
        elif strand.wakes is not None:
            strand.wakes = None
            self._sleeping -= 1
        return self._run_pass(strand, response)

    def interrupt(self) -> Progress:
        """Cancels the run: ends the strands of its main part and starts `finally`, unless that has started before."""
        self._progress = Progress()
        run = self._run
        if self.ending is not None or run.cancelled or run.is_finishing:
            return self._progress
        run.cancelled = True
        self._record_cancelled(self._root)
        self._cancel(self._root)
        self._ready.clear()
        self._root = ScheduledStrand(run_finally(run, self._roots, Finished((), CANCELLED)))
        self._strands = 1
        return self._run_pass(self._root, None, self._progress)

    def close(self) -> list[JournalEntry]:
        """Cancels all strands; returns the entries that were not sent, and those of the attempts that were cut off."""
        self._progress = Progress()
        if not self._root.ended:
            self._record_cancelled(self._root)
            self._cancel(self._root)
        return self._run.journal.take_unsent()

    def checkpoint(self) -> Progress:
        """Writes the entries and the starts of calls that are older than CHECKPOINT_SECONDS.

        The record of a repeated attempt or of a call in flight goes with the next write that a step waits for. That may
        take minutes, and if the worker is lost and the run is then cancelled, nothing shows that the tool was called.
        """
        self._progress = Progress()
        if self.ending is not None or self._writing:
            return self._progress
        before = self._run.clock.monotonic() - CHECKPOINT_SECONDS
        is_due = self._run.journal.is_older(self._run.now_us() - round(CHECKPOINT_SECONDS * 1_000_000))
        for strand in self._pending.values():
            if strand.call is not None and not strand.noted and strand.since <= before:
                strand.noted = True
                if (entry := strand.call_entry(self._run, STARTED)) is not None:
                    self._run.journal.add(entry, barrier=False)
                    is_due = True
        if is_due:
            self._writing = {self._checkpoint}
            self._request(self._checkpoint, Commit(self._run.journal.take_unsent()))
        return self._progress

    def _run_pass(self, strand: ScheduledStrand, response: Response, progress: Progress | None = None) -> Progress:
        self._progress = progress = progress or Progress()
        self._run.account.yielded()
        self._advance(strand, response)
        while self._ready:
            self._advance(*self._ready.pop(0))
        if self.ending is None:
            if self._writers and not self._writing:
                self._write()
            if self._sleeping or self._waiting:
                self._leave_if_idle()
        if progress.cancelled:
            progress.requests = [(number, request) for number, request in progress.requests if number in self._pending]
        return progress

    def _advance(self, strand: ScheduledStrand, response: Response | Exit) -> None:
        if strand.ended:
            return
        strand.call = None
        try:
            request = strand.generator.send(response)
        except StopIteration as stop:
            self._end(strand, stop.value)
            return
        if type(request) is AwaitDurable and request.number <= self._run.journal.durable:
            self._ready.append((strand, None))
        elif isinstance(request, AwaitDurable | Effect):
            self._writers.append((strand, request))
        elif isinstance(request, Wait):
            strand.wait, strand.since = request, self._run.clock.monotonic()
            self._waiting.append(strand)
        elif isinstance(request, Fork):
            strand.fork, strand.started = request, 0
            self._spawn(strand, request)
        else:
            if type(request) is Sleep:
                strand.wakes = self._run.clock.monotonic() + request.seconds
                self._sleeping += 1
            elif type(request) is Call:
                strand.call, strand.since, strand.noted = request, self._run.clock.monotonic(), False
            self._request(strand, request)

    def _request(self, strand: ScheduledStrand, request: Request) -> None:
        self._last_request_id += 1
        strand.request_id = self._last_request_id
        self._pending[strand.request_id] = strand
        self._progress.requests.append((strand.request_id, request))

    def _spawn(self, parent: ScheduledStrand, fork: Fork) -> None:
        children = parent.children = parent.children or set()
        while parent.started < fork.count and len(children) < fork.max_parallel:
            if children and self._strands >= MAX_STRANDS:
                return
            child = ScheduledStrand(fork.start(parent.started), parent)
            parent.started += 1
            children.add(child)
            self._strands += 1
            self._ready.append((child, None))
        if not children:
            parent.fork = None
            self._ready.append((parent, None))

    def _end(self, strand: ScheduledStrand, result: "Exit | Ending | None") -> None:
        """Ends a strand. Its Exit cancels its siblings and goes to the parent; the root's result is the ending."""
        parent = strand.parent
        strand.ended = True
        if parent is None:
            self.ending = result  # type: ignore[assignment]  # only the root returns an Ending
            return
        self._strands -= 1
        if parent.children is not None:
            parent.children.discard(strand)
        if result is None and parent.fork is not None:
            self._spawn(parent, parent.fork)
            return
        for child in tuple(parent.children or ()):
            self._record_cancelled(child)
            self._cancel(child)
        parent.children = None
        parent.fork = None
        self._ready.append((parent, result))  # type: ignore[arg-type]  # only the root returns an Ending

    def _record_cancelled(self, strand: ScheduledStrand) -> None:
        """Records the started steps of a strand and of its descendants as CANCELLED."""
        for child in strand.children or ():
            self._record_cancelled(child)
        unsent = any(number == strand.request_id for number, _ in self._progress.requests)  # its call is never made
        entry = strand.cancelled_entry(self._run, call_sent=not unsent)
        if entry is not None:
            self._run.journal.add(entry, barrier=False)

    def _cancel(self, strand: ScheduledStrand) -> None:
        """Ends a strand and its descendants; a write of them that is in flight still becomes durable."""
        for child in tuple(strand.children or ()):
            self._cancel(child)
        strand.children = None
        self._strands -= 1
        strand.ended = True
        strand.generator.close()
        if strand not in self._writing and strand.request_id in self._pending:
            del self._pending[strand.request_id]
            self._sleeping -= strand.wakes is not None
            self._progress.cancelled = (*self._progress.cancelled, strand.request_id)

    def _wake_writers(self) -> None:
        """Resumes the strands whose barrier is durable now."""
        writers, self._writers = self._writers, []
        for strand, request in writers:
            if type(request) is AwaitDurable and request.number <= self._run.journal.durable:
                self._ready.append((strand, None))
            else:
                self._writers.append((strand, request))

    def _write(self) -> None:
        """Sends the next write that a strand waits for: all effects, or a commit if there are none.

        The first effect carries the entries. The effects are independent: no strand waits for another one's.
        """
        writers = [writer for writer in self._writers if not writer[0].ended]
        self._writers = [writer for writer in writers if not isinstance(writer[1], Effect)]
        effects = [(strand, request) for strand, request in writers if isinstance(request, Effect)]
        if effects:
            self._writing = {strand for strand, _ in effects}
            for strand, request in effects:
                self._request(strand, replace(request, entries=self._run.journal.take_unsent()))
        elif self._writers:
            strand, _ = self._writers.pop(0)
            self._writing = {strand}
            self._request(strand, Commit(self._run.journal.take_unsent()))

    def _leave_if_idle(self) -> None:
        """Ends the segment when the run only waits, or sleeps for longer than the engine keeps a run.

        A run with a deadline resumes then at the latest. `finally` is short and does not leave the engine.
        """
        now = self._run.clock.monotonic()
        delays = [strand.wakes - now for strand in self._pending.values() if strand.wakes is not None]
        waiting = [strand for strand in self._waiting if not strand.ended]
        if len(delays) < len(self._pending) or not (delays or waiting) or (self._run.is_finishing and not waiting):
            return
        if min(delays, default=math.inf) <= MAX_DELAY_IN_ENGINE_SECONDS:
            return
        wakes = min([*delays, self._run.until_end()])
        wake_ms = max(1, math.ceil(wakes * 1000)) if wakes < math.inf else 0
        entries = self._run.journal.take_unsent()
        waits = [_with_remaining_time(strand.wait, now - strand.since) for strand in waiting if strand.wait]
        ending = Suspended(entries, waits, wake_ms) if waits else Delayed(entries, wake_ms)
        self._cancel(self._root)
        self.ending = ending


def _no_steps() -> StepsFlow:
    return None
    yield


def _with_remaining_time(wait: Wait, seconds: float) -> Wait:
    """Subtracts the time since the wait was requested from its relative deadline."""
    if wait.HasField("deadline_ms"):
        wait.deadline_ms = max(0, wait.deadline_ms - round(seconds * 1000))
    return wait
