"""One run being interpreted: a pure state machine that advances strands and tells what is to be done outside.

At most one write of a run is on its way; what must be durable meanwhile goes with the next one. Nothing asked for
leaves before every strand has gone as far as it can, so that a resumed run never repeats a call that was given up.
"""

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

from ordinaut.clock import Clock
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, RunStart, Wait
from ordinaut.limits import MAX_STEP_OUTPUTS_BYTES
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.cut_off import cut_off
from pipeline_engine.interpreter.journal import FAILED, SUCCEEDED
from pipeline_engine.interpreter.requests import (
    Answer,
    Call,
    Commit,
    Delayed,
    Ending,
    Finished,
    Perform,
    Request,
    Sleep,
    Suspended,
)
from pipeline_engine.interpreter.retry import MAX_DELAY_IN_ENGINE_SECONDS
from pipeline_engine.interpreter.run import Beginnings, Run, roots_of
from pipeline_engine.interpreter.signals import Act, Expired, Failed, Fork, Signal, Steps, Stopped, Until, Wish
from pipeline_engine.interpreter.step_values import render
from pipeline_engine.interpreter.strand import Strand
from pipeline_engine.language.plan import Plan

HANDLER_SECONDS = 60.0
"""How long the handlers of a run that has run out of time may take."""
MAX_STRANDS = 200
"""Strands of one run that may be under way; beyond that each fork has one."""


class Turn:
    """What came of one step forward: what to do outside, by number, and what is not needed any more."""

    __slots__ = ("asks", "dropped")

    def __init__(self) -> None:
        self.asks: list[tuple[int, Request]] = []
        self.dropped: Sequence[int] = ()


class Fiber:
    """A strand under way: its fork while it waits for others, the number of its ask while it waits for the outside.

    `wait` is what it waits for beyond this stay, `call` the call that it waits for, since the monotonic time `asked`.
    """

    __slots__ = ("ask", "asked", "call", "children", "fork", "generator", "gone", "parent", "started", "wait", "wakes")

    def __init__(self, generator: Generator[Wish, Any, Any], parent: "Fiber | None" = None) -> None:
        self.generator = generator
        self.parent = parent
        self.fork: Fork | None = None
        self.started = 0
        self.children: set[Fiber] | None = None
        self.ask = 0
        self.wakes: float | None = None
        self.wait: Wait | None = None
        self.call: Call | None = None
        self.asked = 0.0
        self.gone = False


class Execution:
    """A run from where its journal ends; `ending` is set once it is over. `begun_us` are those of a run to replay."""

    def __init__(
        self,
        plan: Plan,
        start: RunStart,
        clock: Clock,
        fraction: Callable[[str], float],
        begun_us: Beginnings | None = None,
        outputs_max_bytes: float = MAX_STEP_OUTPUTS_BYTES,
    ) -> None:
        self.ending: Ending | None = None
        self._run = Run(plan, start, clock, fraction, begun_us, outputs_max_bytes)
        self._root = Fiber(_script(self._run, roots_of(plan, start)))
        self._ready: list[tuple[Fiber, Answer | Signal]] = []
        self._asked: dict[int, Fiber] = {}
        self._writers: list[tuple[Fiber, Until | Act]] = []
        self._writing: Fiber | None = None
        self._waiting: list[Fiber] = []
        self._last_ask = 0
        self._fibers = 1
        self._sleeping = 0
        self._turn = Turn()

    def begin(self) -> Turn:
        """Goes as far as possible."""
        return self._go_on(self._root, None)

    def answer(self, ask: int, answer: Answer) -> Turn:
        """Goes on with an answer; one to something that was dropped changes nothing."""
        fiber = self._asked.pop(ask, None)
        if fiber is None:
            return Turn()
        if fiber is self._writing:
            self._writing = None
            self._run.journal.landed()
            if self._writers:
                self._wake_writers()
        elif fiber.wakes is not None:
            fiber.wakes = None
            self._sleeping -= 1
        return self._go_on(fiber, answer)

    def close(self) -> list[JournalEntry]:
        """Ends everything where it stands; gives the entries that nobody has seen yet."""
        self._cancel(self._root)
        return self._run.journal.take()

    def _go_on(self, fiber: Fiber, answer: Answer) -> Turn:
        self._turn = turn = Turn()
        self._run.account.yielded()
        self._advance(fiber, answer)
        while self._ready:
            self._advance(*self._ready.pop(0))
        if self.ending is None:
            if self._writers and self._writing is None:
                self._write()
            if self._sleeping or self._waiting:
                self._rest()
        if turn.dropped:
            turn.asks = [(ask, request) for ask, request in turn.asks if ask in self._asked]
        return turn

    def _advance(self, fiber: Fiber, answer: Answer | Signal) -> None:
        if fiber.gone:
            return
        fiber.call = None
        try:
            wish = fiber.generator.send(answer)
        except StopIteration as stop:
            self._left(fiber, stop.value)
            return
        if type(wish) is Until and wish.mark <= self._run.journal.durable:
            self._ready.append((fiber, None))
        elif isinstance(wish, Until | Act):
            self._writers.append((fiber, wish))
        elif isinstance(wish, Wait):
            fiber.wait, fiber.asked = wish, self._run.clock.monotonic()
            self._waiting.append(fiber)
        elif isinstance(wish, Fork):
            fiber.fork, fiber.started = wish, 0
            self._spawn(fiber, wish)
        else:
            if type(wish) is Sleep:
                fiber.wakes = self._run.clock.monotonic() + wish.seconds
                self._sleeping += 1
            elif type(wish) is Call:
                fiber.call, fiber.asked = wish, self._run.clock.monotonic()
            self._ask(fiber, wish)

    def _ask(self, fiber: Fiber, request: Request) -> None:
        self._last_ask += 1
        fiber.ask = self._last_ask
        self._asked[fiber.ask] = fiber
        self._turn.asks.append((fiber.ask, request))

    def _spawn(self, parent: Fiber, fork: Fork) -> None:
        children = parent.children = parent.children or set()
        while parent.started < fork.count and len(children) < fork.at_most:
            if children and self._fibers >= MAX_STRANDS:
                return
            child = Fiber(fork.make(parent.started), parent)
            parent.started += 1
            children.add(child)
            self._fibers += 1
            self._ready.append((child, None))
        if not children:
            parent.fork = None
            self._ready.append((parent, None))

    def _left(self, fiber: Fiber, result: Any) -> None:
        parent = fiber.parent
        fiber.gone = True
        if parent is None:
            self.ending = result
            return
        self._fibers -= 1
        if parent.children is not None:
            parent.children.discard(fiber)
        if result is None and parent.fork is not None:
            self._spawn(parent, parent.fork)
            return
        for child in tuple(parent.children or ()):
            self._cut_off(child)
            self._cancel(child)
        parent.children = None
        parent.fork = None
        self._ready.append((parent, result))

    def _cut_off(self, fiber: Fiber) -> None:
        """Records the started steps of a strand, and of all below it, as CANCELLED."""
        for child in fiber.children or ():
            self._cut_off(child)
        left = all(ask != fiber.ask for ask, _ in self._turn.asks)  # a call that has not left yet is never made
        entry = cut_off(self._run, fiber.wait, fiber.call if left else None, fiber.asked)
        if entry is not None:
            self._run.journal.add(entry, durable_first=False)

    def _cancel(self, fiber: Fiber) -> None:
        """Ends a strand and all below; a write of it that is on its way lands all the same."""
        for child in tuple(fiber.children or ()):
            self._cancel(child)
        fiber.children = None
        self._fibers -= 1
        fiber.gone = True
        fiber.generator.close()
        if fiber is not self._writing and fiber.ask in self._asked:
            del self._asked[fiber.ask]
            self._sleeping -= fiber.wakes is not None
            self._turn.dropped = (*self._turn.dropped, fiber.ask)

    def _wake_writers(self) -> None:
        waiting, self._writers = self._writers, []
        for fiber, wish in waiting:
            if type(wish) is Until and wish.mark <= self._run.journal.durable:
                self._ready.append((fiber, None))
            else:
                self._writers.append((fiber, wish))

    def _write(self) -> None:
        """Sends the next write that a strand waits for: an effect first, which takes all entries along."""
        if len(self._writers) > 1:
            self._writers.sort(key=lambda waiting: type(waiting[1]) is not Act)
        fiber, wish = self._writers.pop(0)
        while fiber.gone:
            if not self._writers:
                return
            fiber, wish = self._writers.pop(0)
        self._writing = fiber
        entries = self._run.journal.take()
        self._ask(
            fiber, Perform(entries, wish.step, wish.idempotency_key) if isinstance(wish, Act) else Commit(entries)
        )

    def _rest(self) -> None:
        """Gives the engine back when all that is left is to wait, for something or for long."""
        now = self._run.clock.monotonic()
        delays = [fiber.wakes - now for fiber in self._asked.values() if fiber.wakes is not None]
        waiting = [fiber for fiber in self._waiting if not fiber.gone]
        if len(delays) < len(self._asked) or not (delays or waiting):
            return
        if min(delays, default=math.inf) <= MAX_DELAY_IN_ENGINE_SECONDS:
            return
        wake_ms = math.ceil(min(delays, default=0) * 1000)
        entries = self._run.journal.take()
        waits = [_remaining(fiber.wait, now - fiber.asked) for fiber in waiting if fiber.wait]
        ending = Suspended(entries, waits, wake_ms) if waits else Delayed(entries, wake_ms)
        self._cancel(self._root)
        self.ending = ending


def _remaining(wait: Wait, seconds: float) -> Wait:
    """What is left of a wait that was asked for so long ago."""
    if wait.HasField("deadline_ms"):
        wait.deadline_ms = max(0, wait.deadline_ms - round(seconds * 1000))
    return wait


def _script(run: Run, roots: dict[str, Any]) -> Generator[Wish, Any, Finished]:
    """The whole run: its steps, its output, its handlers."""
    strand = Strand(run, "", roots)
    signal = yield from strand.sequence(run.plan.steps)
    if signal is None:
        signal = _output(run, roots)
    if isinstance(signal, Failed | Expired) and run.plan.on_error:
        run.grant(HANDLER_SECONDS)
        yield from _handle(strand, signal.failure)
    if isinstance(signal, Failed | Expired):
        return Finished(run.journal.take(), FAILED, error=signal.failure.to_json())
    return Finished(run.journal.take(), SUCCEEDED, output=signal.output if signal else b"")


def _handle(strand: Strand, failure: Failure) -> Steps:
    strand.mark = strand.run.journal.last_mark
    return (yield from strand.handle(strand.run.plan.on_error, "on_error.", failure))


def _output(run: Run, roots: dict[str, Any]) -> Signal | None:
    if run.plan.output is None:
        return None
    rendered = render(run.plan.output, roots, run.account)
    return Failed(rendered) if isinstance(rendered, Failure) else Stopped(rendered[1])
