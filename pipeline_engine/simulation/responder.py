"""Responds to the calls and effects of a simulated run: from a mock, from a recorded run, or with a generated value."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from pipeline_engine.data.failure import TOOL_UNAVAILABLE, Failure, timed_out
from pipeline_engine.data.schemas import Check, compile_schema, errors_of
from pipeline_engine.interpreter.journal import FAILED, SUCCEEDED
from pipeline_engine.interpreter.requests import Call, Effect, Output
from pipeline_engine.simulation.mocks import MockResult, Mocks
from pipeline_engine.simulation.recorded_run import RecordedRun, duration_us
from pipeline_engine.simulation.value_generator import generate
from pipeline_engine.simulation.virtual_stores import VirtualStores
from pipeline_engine.tools.definition import Tool

TRIES = 20
"""Number of values that are generated before one that does not match the schema is used."""


@dataclass(frozen=True, slots=True)
class TimedOutcome:
    """An outcome and its duration in microseconds.

    A recorded outcome of a replay also has the time of its end, `end_us`, and its `position` in the journal.
    """

    outcome: Output | Failure
    duration_us: int = 0
    end_us: int | None = None
    position: int | None = None


LOST = TimedOutcome(Failure(TOOL_UNAVAILABLE, "the recorded run has no response", may_have_happened=True))
"""The outcome of an UNSAFE call that a person had repeated, and of its lookup, which could not decide."""
LOOKUP = "?lookup"


class Responder:
    """The responses of one simulation.

    `generated` are the paths of steps with generated values; `warnings` report values that may be wrong. In a `replay`
    no value is generated: a request that neither a mock nor the recorded run answers has no response.
    """

    def __init__(
        self, mocks: Mocks, recorded_run: RecordedRun, tools: Mapping[str, Tool], *, seed: int, replay: bool
    ) -> None:
        self.generated: list[str] = []
        self.warnings: dict[str, None] = {}
        self._mocks = mocks
        self._recorded_run = recorded_run
        self._tools = tools
        self._stores = VirtualStores()
        self._checks: dict[str, Check | None] = {}
        self._seed = seed
        self._replay = replay

    def call(self, request: Call) -> TimedOutcome | None:
        """Returns the outcome of a call within its timeout; None without a response."""
        mocked = self._mocks.take(request.path, request.tool.name, request.attempt)
        timed = self._mocked(mocked) or self._recorded(request.path, request.attempt)
        if timed is None and not self._replay:
            timed = TimedOutcome(self._generate(request.path, request.attempt, request.tool))
        if timed is None:
            return None
        if mocked is not None and mocked.duration_us is not None:
            timed = replace(timed, duration_us=mocked.duration_us, end_us=None, position=None)
        timeout_us = round(request.timeout * 1_000_000)
        if timed.end_us is None and timed.duration_us > timeout_us:
            return TimedOutcome(timed_out(request.timeout), timeout_us)
        return timed

    def apply(self, effect: Effect) -> TimedOutcome | None:
        """Returns the outcome of a step on Ordinaut's own stores; None without a response."""
        step = effect.step
        arguments = orjson.loads(step.input)
        timed = self._mocked(self._mocks.take(step.path, step.tool, step.attempt))
        timed = timed or self._recorded(step.path, step.attempt)
        if timed is not None:
            if isinstance(timed.outcome, Output):
                self._stores.adopt(step.tool, arguments, timed.outcome.value)
            return timed
        if self._replay:
            return None
        outcome = self._stores.apply(step.tool, arguments, effect.idempotency_key)
        return TimedOutcome(outcome or self._generate(step.path, step.attempt, self._tools.get(step.tool)))

    def _mocked(self, result: MockResult | None) -> TimedOutcome | None:
        if result is None or not (result.output or result.failure):
            return None
        return TimedOutcome(result.failure or Output(result.output[0]), result.duration_us or 0)

    def _recorded(self, path: str, number: int) -> TimedOutcome | None:
        if self._replay and (path.endswith(LOOKUP) or self._recorded_run.repeat_decision(path, number)):
            return LOST
        recorded = self._recorded_run.response(path, number)
        if recorded is None:
            return None
        entry = recorded.entry
        if not self._replay:
            return TimedOutcome(outcome_of(entry), duration_us(entry))
        return TimedOutcome(outcome_of(entry), duration_us(entry), entry.end_us, self._recorded_run.position(entry))

    def _generate(self, path: str, attempt: int, tool: Tool | None) -> Output:
        """Returns a value that matches the tool's output schema; with a warning if none was found."""
        self.generated.append(path)
        schema = tool.output_schema if tool else None
        name = tool.name if tool else ""
        if schema is None:
            self.warnings[f"{name} does not define an output_schema, so its output is {{}}; add a mock for it"] = None
            return Output({})
        if name not in self._checks:
            self._checks[name] = compile_schema(schema)
        check, value = self._checks[name], None
        for number in range(TRIES):
            value = generate(schema, f"{self._seed}/{path}#{attempt}~{number}")
            if check is None or check.first_problem(value) is None:
                return Output(value)
        keywords = ", ".join(sorted({f"`{error.keyword}`" for error in errors_of(schema, value)}))
        self.warnings[f"no generated value matches {keywords} of the output_schema of {name}; add a mock for it"] = None
        return Output(value)


def outcome_of(entry: JournalEntry) -> Output | Failure:
    """Returns the outcome of a recorded attempt."""
    if entry.state == FAILED:
        return Failure.from_json(entry.error)
    return Output(orjson.loads(entry.output) if entry.output else None)


def completed(step: JournalEntry, outcome: Output | Failure, end_us: int) -> JournalEntry:
    """Returns the entry of an effect with its outcome."""
    entry = JournalEntry()
    entry.CopyFrom(step)
    entry.end_us = max(end_us, step.start_us)
    if isinstance(outcome, Failure):
        located = outcome if outcome.step else outcome.at(step.path, step.tool, step.attempt)
        entry.state, entry.error = FAILED, located.to_json()
    else:
        entry.state, entry.output = SUCCEEDED, orjson.dumps(outcome.value)
    return entry
