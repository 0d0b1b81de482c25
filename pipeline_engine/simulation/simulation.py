"""Simulates a run: the real interpreter with simulated time, tools, stores and waits."""

import time
from dataclasses import replace

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import (
    JournalEntry,
    RunStart,
    SimulateRunRequest,
    SimulateRunResponse,
)
from pipeline_engine.data.data_keys import DataKeyError, DataKeys
from pipeline_engine.data.failure import DENIED, VALIDATION_INPUT, Failure
from pipeline_engine.data.sealer import Sealer
from pipeline_engine.interpreter.executor import Execution
from pipeline_engine.interpreter.journal import CANCELLED, FAILED, RUNNING, WAITING
from pipeline_engine.interpreter.requests import (
    Call,
    CheckValue,
    Commit,
    Delayed,
    Effect,
    Ending,
    Entries,
    Finished,
    Request,
    Response,
    Sleep,
)
from pipeline_engine.interpreter.retry import fraction_of
from pipeline_engine.interpreter.run import StartTimes
from pipeline_engine.interpreter.sealed_execution import EntrySealer, SealedExecution, has_sealed_results
from pipeline_engine.language.compile import PlanError, compile_plan
from pipeline_engine.language.plan import Plan
from pipeline_engine.simulation.clock import LAST_US, VirtualClock
from pipeline_engine.simulation.mocks import Mocks
from pipeline_engine.simulation.recorded_run import RecordedRun
from pipeline_engine.simulation.responder import Responder, TimedOutcome, completed
from pipeline_engine.simulation.timeline import Timeline
from pipeline_engine.simulation.trace import CutError, Trace
from pipeline_engine.simulation.waits import NEVER, SimulatedWaits
from pipeline_engine.tools.definition import read_tool

MAX_SECONDS = 5.0
"""Limit of the computing time of one simulation."""


def simulate(request: SimulateRunRequest, keys: DataKeys | None = None) -> SimulateRunResponse:
    """Simulates a whole run in at most 5 s, which are checked whenever simulated time advances.

    `keys` decrypt the sensitive values of a recorded run.
    """
    definition = request.definition
    try:
        plan = compile_plan(
            definition.pipeline,
            definition.tools,
            definition.denied_tools,
            definition.retry,
            project=definition.project,
            secrets=definition.secrets,
            semantics=definition.semantics,
            deadline_ms=definition.deadline_ms,
        )
    except PlanError as error:
        return _failed(request, Failure(VALIDATION_INPUT, f"the pipeline cannot be executed: {error}"))
    if request.follow and not request.start.remaining_ms:
        plan = replace(plan, timeout=None, deadline=None)
    sealer = EntrySealer(Sealer(keys or DataKeys.generated(), definition.project), plan.sensitive)
    try:
        for attempt in request.recorded:
            sealer.open_entry(attempt.entry)
        return _Simulation(plan, request, sealer).run()
    except DataKeyError as error:
        return _failed(request, Failure(DENIED, f"the recorded run cannot be read: {error}"))


def _failed(request: SimulateRunRequest, failure: Failure) -> SimulateRunResponse:
    return SimulateRunResponse(state=FAILED, error=failure.to_json(), end_us=request.start.now_us)


class _Simulation:
    """One simulation; with `follow` it replays the recorded run."""

    def __init__(self, plan: Plan, request: SimulateRunRequest, sealer: EntrySealer) -> None:
        self._plan = plan
        self._sealer = sealer
        self._start = request.start
        self._replay = request.follow
        self._deadline = time.monotonic() + MAX_SECONDS
        self._mocks, self._recorded_run = Mocks(request.mocks), RecordedRun(request.recorded)
        tools = {tool.name: tool for tool in (read_tool(orjson.loads(text)) for text in request.definition.tools)}
        self._responder = Responder(self._mocks, self._recorded_run, tools, seed=request.seed, replay=request.follow)
        self._waits = SimulatedWaits(self._mocks, self._recorded_run, replay=request.follow)
        self._clock = VirtualClock(request.start.now_us)
        self._segment_now_us = request.start.now_us
        self._waited_us = 0
        self._was_cancelled = False
        self._claims = 0
        replayed = [attempt.entry for attempt in request.recorded] if request.follow else []
        self._trace = Trace(request.start.journal, replayed)
        self._timeline = Timeline(replay=request.follow)

    def run(self) -> SimulateRunResponse:
        """Simulates segment by segment, to the end or as far as possible."""
        try:
            while True:
                ending = self._run_segment()
                self._keep(ending.entries)
                if isinstance(ending, Finished):
                    return self._response(ending.state, ending.output, ending.error)
                if isinstance(ending, Delayed):
                    self._advance_to(self._clock.now_us + 1000 * ending.delay_ms)
                    continue
                self._waits.request(ending.waits, self._clock.now_us)
                wake_us = self._clock.now_us + 1000 * ending.wake_ms if ending.wake_ms else NEVER
                if not self._wait(wake_us) and not self._cancel():
                    return self._response(WAITING)
        except CutError as reason:
            if str(reason):
                self._responder.warnings[str(reason)] = None
            return self._response(RUNNING)

    def _run_segment(self) -> Ending:
        """Executes from the journal until the run ends or leaves its engine.

        Raises:
            CutError: no request has a response, or a limit is exceeded. A replay of a cancelled run that ran `finally`
                does so too where no request has a response.
        """
        self._claims += 1
        start_times = self._recorded_run.start_times() if self._replay else None
        execution = self._execution(self._run_start(), start_times)
        self._timeline = Timeline(replay=self._replay)
        self._trace.start_segment()
        try:
            progress = execution.start()
            while execution.ending is None:
                for request_id in progress.cancelled:
                    self._timeline.cancel(request_id)
                    self._trace.cancel(request_id)
                for request_id, request in progress.requests:
                    self._perform(request_id, request)
                progress = execution.respond(*self._next_response())
        except CutError as reason:
            self._trace.keep_unlimited([entry for entry in execution.close() if self._is_recorded(entry)])
            if str(reason) or not self._cancel():
                raise
            self._claims -= 1
            return self._run_segment()
        return execution.ending

    def _execution(self, start: RunStart, start_times: StartTimes | None) -> Execution:
        if not self._plan.sensitive and not has_sealed_results(start):
            return Execution(self._plan, start, self._clock, fraction_of, start_times)
        opened = self._sealer.open_start(start)
        return SealedExecution(self._sealer, self._plan, opened, self._clock, fraction_of, start_times)

    def _cancel(self) -> bool:
        """Cancels the replay of a run that was cancelled and then ran `finally`; False for any other, and once only."""
        if self._was_cancelled or not self._replay or not self._recorded_run.finished_after_cancel():
            return False
        self._was_cancelled = True
        return True

    def _keep(self, entries: Entries) -> None:
        """Adds entries; of a replay that was cancelled, without attempts that the recorded run did not contain."""
        if self._was_cancelled:
            entries = [entry for entry in entries if self._is_recorded(entry)]
        self._trace.keep(entries)

    def _is_recorded(self, entry: JournalEntry) -> bool:
        """Whether an entry of the end is reported: an attempt was cut off only if the recorded one was, too."""
        return entry.state != CANCELLED or self._recorded_run.was_cut_off(entry.path, entry.attempt)

    def _run_start(self) -> RunStart:
        """Returns what a worker would send with this claim."""
        start = RunStart()
        start.CopyFrom(self._start)
        del start.journal[:]
        start.journal.extend(self._trace.journal)
        start.waits.extend(self._waits.entries())
        start.now_us, start.waited_ms = self._segment_now_us, self._waited_us // 1000
        start.cancelled = self._was_cancelled
        start.elapsed_ms = (self._clock.now_us - self._start.now_us) // 1000
        if start.remaining_ms:
            spent_us = self._clock.now_us - self._start.now_us - self._waited_us
            start.remaining_ms = max(1, start.remaining_ms - spent_us // 1000)
        start.run = orjson.dumps({**orjson.loads(start.run or b"{}"), "claims": self._claims})
        return start

    def _perform(self, request_id: int, request: Request) -> None:
        """Schedules the response to a request, or notes that it is missing."""
        now_us = self._clock.now_us
        match request:
            case Commit():
                self._keep(request.entries)
                self._timeline.add(request_id, now_us, None)
            case Sleep():
                self._timeline.add(request_id, now_us + round(request.seconds * 1_000_000), None)
            case CheckValue():
                self._timeline.add(request_id, now_us, request.check.first_problem(orjson.loads(request.body)))
            case Call():
                timed = self._responder.call(request)
                step = JournalEntry(
                    path=request.path, attempt=request.attempt, tool=request.tool.name, input=request.body
                )
                self._schedule(request_id, timed, step, timed.outcome if timed else None)
            case Effect():
                self._keep(request.entries)
                timed = self._responder.apply(request)
                entry = completed(request.step, timed.outcome, self._end_us(timed)) if timed else None
                if entry is not None:
                    self._trace.keep([entry])
                self._schedule(request_id, timed, request.step, entry)

    def _schedule(self, request_id: int, timed: TimedOutcome | None, step: JournalEntry, response: Response) -> None:
        if timed is None:
            self._trace.add_unanswered(request_id, step, self._clock.now_us)
        else:
            self._timeline.add(request_id, self._end_us(timed), response, timed.position)

    def _end_us(self, timed: TimedOutcome) -> int:
        now_us = self._clock.now_us
        return now_us + timed.duration_us if timed.end_us is None else max(now_us, timed.end_us)

    def _next_response(self) -> tuple[int, Response]:
        """Advances time to the next response; of several at the same time, the first request's."""
        arrival = self._timeline.pop()
        if arrival is None:
            raise CutError
        request_id, time_us, response = arrival
        self._advance_to(time_us)
        return request_id, response

    def _wait(self, wake_us: int) -> bool:
        """Advances time to the end of a wait, or to when the run wakes anyway; False if it waits forever."""
        began_us = self._clock.now_us
        end_us = self._waits.next_end_us()
        if min(end_us, wake_us) == NEVER:
            return False
        self._advance_to(min(end_us, wake_us))
        now_us = self._clock.now_us
        self._waits.end_due(now_us)
        self._waited_us += now_us - began_us
        if self._replay:
            self._segment_now_us = self._recorded_run.segment_now_us(end_us, self._segment_now_us, now_us)
        else:
            self._segment_now_us = now_us
        return True

    def _advance_to(self, time_us: int) -> None:
        if time_us > LAST_US:
            raise CutError("the simulation stopped at the end of the year 9998")
        if time.monotonic() > self._deadline:
            raise CutError(f"the simulation stopped after {MAX_SECONDS:g} s of computing")
        self._clock.advance_to(time_us)

    def _response(self, state: str, output: bytes = b"", error: bytes = b"") -> SimulateRunResponse:
        response = SimulateRunResponse(
            state=state, output=output, error=error, end_us=self._clock.now_us, claims=self._claims
        )
        response.steps.extend(self._trace.new_entries())
        response.unanswered.extend(self._sealer.entries(self._trace.unanswered()))
        if state in {WAITING, RUNNING}:
            response.unanswered.extend(wait.entry for wait in self._waits.open())
            response.waits.extend(wait.wait for wait in self._waits.open())
        response.generated.extend(dict.fromkeys(self._responder.generated))
        response.warnings.extend(self._responder.warnings)
        response.warnings.extend(f"mocks[{position}] was not used" for position in self._mocks.unused())
        return response
