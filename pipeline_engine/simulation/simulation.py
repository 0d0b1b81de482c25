"""A run in a time of its own: the interpreter as it always is, and around it nothing that is real."""

import time
from collections.abc import Callable
from dataclasses import replace
from heapq import heappop, heappush

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import (
    JournalEntry,
    RunStart,
    SimulateRunRequest,
    SimulateRunResponse,
)
from pipeline_engine.data.failure import VALIDATION_INPUT, Failure
from pipeline_engine.interpreter.executor import Execution
from pipeline_engine.interpreter.journal import FAILED, RUNNING, WAITING, Starts, merge
from pipeline_engine.interpreter.requests import (
    Answer,
    Call,
    Commit,
    Delayed,
    Ending,
    Entries,
    Finished,
    Perform,
    Request,
    Sleep,
)
from pipeline_engine.interpreter.retry import fraction_of
from pipeline_engine.language.compile import PlanError, compile_plan
from pipeline_engine.language.plan import Plan
from pipeline_engine.simulation.clock import LAST_US, VirtualClock
from pipeline_engine.simulation.mocks import Mocks
from pipeline_engine.simulation.recorded_run import RecordedRun
from pipeline_engine.simulation.responder import Responder, TimedOutcome, completed
from pipeline_engine.simulation.waits import NEVER, Waits
from pipeline_engine.tools.definition import read_tool

MAX_ENTRIES = 10_000
MAX_BYTES = 2 * 1024 * 1024
"""Of all inputs, outputs and errors together."""
MAX_SECONDS = 5.0
"""Of this machine's time."""


class CutError(Exception):
    """The simulation goes no further; the text says why, where the trace does not."""


def simulate(request: SimulateRunRequest, stopped: Callable[[], bool] = lambda: False) -> SimulateRunResponse:
    """The whole run, in at most 5 s; `stopped` is asked now and then whether nobody wants it any more."""
    definition = request.definition
    try:
        plan = compile_plan(
            definition.pipeline,
            definition.tools,
            definition.denied_tools,
            definition.retry,
            project=definition.project,
            secrets=definition.secrets,
        )
    except PlanError as error:
        failure = Failure(VALIDATION_INPUT, f"the pipeline cannot be executed: {error}")
        return SimulateRunResponse(state=FAILED, error=failure.to_json(), end_us=request.start.now_us)
    if request.follow and not request.start.remaining_ms:
        plan = replace(plan, timeout=None)
    return _Simulation(plan, request, stopped).run()


class _Simulation:
    def __init__(self, plan: Plan, request: SimulateRunRequest, stopped: Callable[[], bool]) -> None:
        self._plan = plan
        self._start = request.start
        self._follow = request.follow
        self._stopped = stopped
        self._deadline = time.monotonic() + MAX_SECONDS
        self._mocks, self._record = Mocks(request.mocks), RecordedRun(request.recorded)
        tools = {tool.name: tool for tool in (read_tool(orjson.loads(text)) for text in request.definition.tools)}
        self._answers = Responder(self._mocks, self._record, tools, seed=request.seed, follow=request.follow)
        self._waits = Waits(self._mocks, self._record, follow=request.follow)
        self._clock = VirtualClock(request.start.now_us)
        self._stay_us = request.start.now_us
        self._waited_us = 0
        self._claims = 0
        self._journal = list(request.start.journal)
        self._starts: Starts = {}
        self._taken = len(self._journal)
        self._bytes = 0
        self._queue: list[tuple[int, int, int]] = []
        self._coming: dict[int, Answer] = {}
        self._unanswered: dict[int, JournalEntry] = {}

    def run(self) -> SimulateRunResponse:
        """Stay by stay, to the end or as far as it goes."""
        try:
            while True:
                ending = self._stay()
                self._keep(ending.entries)
                if isinstance(ending, Finished):
                    return self._told(ending.state, ending.output, ending.error)
                if isinstance(ending, Delayed):
                    self._pass_to(self._clock.now_us + 1000 * ending.delay_ms)
                    continue
                self._waits.ask(ending.waits, self._clock.now_us)
                woken_us = self._clock.now_us + 1000 * ending.wake_ms if ending.wake_ms else NEVER
                if not self._wait(woken_us):
                    return self._told(WAITING)
        except CutError as reason:
            if str(reason):
                self._answers.warnings[str(reason)] = None
            return self._told(RUNNING)

    def _stay(self) -> Ending:
        """From the journal to an end, or to where the run leaves its engine.

        Raises:
            CutError: nothing answers any more, or a bound is reached.
        """
        self._claims += 1
        begun_us = self._record.beginnings() if self._follow else None
        execution = Execution(self._plan, self._beginning(), self._clock, fraction_of, begun_us)
        self._queue, self._coming, self._unanswered = [], {}, {}
        try:
            turn = execution.begin()
            while execution.ending is None:
                for ask in turn.dropped:
                    self._coming.pop(ask, None)
                    self._unanswered.pop(ask, None)
                for ask, request in turn.asks:
                    self._serve(ask, request)
                turn = execution.answer(*self._next())
        except CutError:
            merge(self._journal, self._starts, execution.close())
            raise
        return execution.ending

    def _beginning(self) -> RunStart:
        """What a worker would send with this claim."""
        start = RunStart()
        start.CopyFrom(self._start)
        del start.journal[:]
        start.journal.extend(self._journal)
        start.waits.extend(self._waits.entries())
        start.now_us, start.waited_ms = self._stay_us, self._waited_us // 1000
        if start.remaining_ms:
            spent_us = self._clock.now_us - self._start.now_us - self._waited_us
            start.remaining_ms = max(1, start.remaining_ms - spent_us // 1000)
        start.run = orjson.dumps({**orjson.loads(start.run or b"{}"), "claims": self._claims})
        return start

    def _serve(self, ask: int, request: Request) -> None:
        """Lets an answer come when its time has come, or notes that there will be none."""
        now_us = self._clock.now_us
        match request:
            case Commit():
                self._keep(request.entries)
                self._come(ask, now_us, None)
            case Sleep():
                self._come(ask, now_us + round(request.seconds * 1_000_000), None)
            case Call():
                answered = self._answers.call(request)
                step = JournalEntry(
                    path=request.path, attempt=request.attempt, tool=request.tool.name, input=request.body
                )
                self._come_or_not(ask, answered, step, answered.outcome if answered else None)
            case Perform():
                self._keep(request.entries)
                answered = self._answers.perform(request)
                entry = completed(request.step, answered, self._end_us(answered)) if answered else None
                if entry is not None:
                    self._keep([entry])
                self._come_or_not(ask, answered, request.step, entry)

    def _come_or_not(self, ask: int, answered: TimedOutcome | None, step: JournalEntry, answer: Answer) -> None:
        if answered is not None:
            self._come(ask, self._end_us(answered), answer, answered.place)
            return
        missing = self._unanswered[ask] = JournalEntry()
        missing.CopyFrom(step)
        missing.state, missing.start_us = RUNNING, missing.start_us or self._clock.now_us
        missing.end_us = missing.start_us

    def _end_us(self, answered: TimedOutcome) -> int:
        now_us = self._clock.now_us
        return now_us + answered.lasted_us if answered.until_us is None else max(now_us, answered.until_us)

    def _come(self, ask: int, moment_us: int, answer: Answer, place: int | None = None) -> None:
        """Lets an answer come at its moment; in a run that is followed in its place, and at once without one."""
        self._coming[ask] = answer
        turn = moment_us if not self._follow else -1 if place is None else place
        heappush(self._queue, (turn, ask, moment_us))

    def _next(self) -> tuple[int, Answer]:
        """What comes next, once it has come; of what comes at the same time, what was asked for first."""
        while self._queue:
            _, ask, moment_us = heappop(self._queue)
            if ask in self._coming:
                self._pass_to(moment_us)
                return ask, self._coming.pop(ask)
        raise CutError

    def _wait(self, woken_us: int) -> bool:
        """Lets time pass to the end of a wait, or to when the run wakes anyway; False: it waits for ever."""
        began_us = self._clock.now_us
        over_us = self._waits.next_us()
        if min(over_us, woken_us) == NEVER:
            return False
        self._pass_to(min(over_us, woken_us))
        now_us = self._clock.now_us
        self._waits.end(now_us)
        self._waited_us += now_us - began_us
        self._stay_us = self._record.stay_us(over_us, self._stay_us, now_us) if self._follow else now_us
        return True

    def _pass_to(self, moment_us: int) -> None:
        if moment_us > LAST_US:
            raise CutError("the simulation stops at the end of the year 9998")
        if time.monotonic() > self._deadline or self._stopped():
            raise CutError(f"the simulation stops after {MAX_SECONDS:g} s of computing")
        self._clock.move_to(moment_us)
        time.sleep(0)  # the loop that executes live runs is let in between two steps

    def _keep(self, entries: Entries) -> None:
        merge(self._journal, self._starts, entries)
        self._bytes += sum(len(entry.input) + len(entry.output) + len(entry.error) for entry in entries)
        if len(self._journal) > MAX_ENTRIES:
            raise CutError(f"the simulation stops after {MAX_ENTRIES} attempts")
        if self._bytes > MAX_BYTES:
            raise CutError("the simulation stops at 2 MiB of inputs and outputs")

    def _told(self, state: str, output: bytes = b"", error: bytes = b"") -> SimulateRunResponse:
        answer = SimulateRunResponse(
            state=state, output=output, error=error, end_us=self._clock.now_us, claims=self._claims
        )
        answer.steps.extend(self._journal[self._taken :])
        begun = {(entry.path, entry.attempt) for entry in answer.steps}
        missing = [entry for entry in self._unanswered.values() if (entry.path, entry.attempt) not in begun]
        answer.unanswered.extend(missing)
        if state in {WAITING, RUNNING}:
            answer.unanswered.extend(wait.entry for wait in self._waits.open())
            answer.waits.extend(wait.wish for wait in self._waits.open())
        answer.drawn.extend(dict.fromkeys(self._answers.drawn))
        answer.warnings.extend(self._answers.warnings)
        answer.warnings.extend(f"mocks[{place}] was never used" for place in self._mocks.unused())
        return answer
