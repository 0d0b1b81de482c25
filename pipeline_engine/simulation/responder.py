"""Who answers a simulated run: a mock, the record of another run, or a value that fits what the tool says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry
from pipeline_engine.data.failure import TOOL_UNAVAILABLE, Failure, timed_out
from pipeline_engine.data.schemas import Check, compile_schema, errors_of
from pipeline_engine.interpreter.journal import FAILED, SUCCEEDED
from pipeline_engine.interpreter.requests import Call, Output, Perform
from pipeline_engine.simulation.mocks import Given, Mocks
from pipeline_engine.simulation.recorded_run import RecordedRun, lasted_us
from pipeline_engine.simulation.value_generator import generate
from pipeline_engine.simulation.virtual_stores import VirtualStores
from pipeline_engine.tools.definition import Tool

TRIES = 20
"""How many values are drawn before one that does not fit is taken."""


@dataclass(frozen=True, slots=True)
class TimedOutcome:
    """An outcome and how long it took, in microseconds.

    Where a record says so, `until_us` is when it came, and `place` tells what came before it.
    """

    outcome: Output | Failure
    lasted_us: int = 0
    until_us: int | None = None
    place: int | None = None


LOST = TimedOutcome(Failure(TOOL_UNAVAILABLE, "no answer is recorded", may_have_happened=True))
"""An UNSAFE call of which somebody told later that it shall be repeated, and its lookup, which could not tell."""
LOOKUP = "?lookup"


class Responder:
    """The answers of one simulation; `drawn` are the paths that got made-up ones, `warnings` what is wrong with them.

    With `follow` nothing is made up: what neither mock nor record answers is not answered.
    """

    def __init__(
        self, mocks: Mocks, record: RecordedRun, tools: Mapping[str, Tool], *, seed: int, follow: bool
    ) -> None:
        self.drawn: list[str] = []
        self.warnings: dict[str, None] = {}
        self._mocks = mocks
        self._record = record
        self._tools = tools
        self._stores = VirtualStores()
        self._checks: dict[str, Check | None] = {}
        self._seed = seed
        self._follow = follow

    def call(self, request: Call) -> TimedOutcome | None:
        """What a tool answers within the time it has."""
        given = self._mocks.take(request.path, request.tool.name, request.attempt)
        answered = self._given(given) or self._recorded(request.path, request.attempt)
        if answered is None and not self._follow:
            answered = TimedOutcome(self._made_up(request.path, request.attempt, request.tool))
        if answered is None:
            return None
        if given is not None and given.duration_us is not None:
            answered = replace(answered, lasted_us=given.duration_us, until_us=None, place=None)
        timeout_us = round(request.timeout * 1_000_000)
        if answered.until_us is None and answered.lasted_us > timeout_us:
            return TimedOutcome(timed_out(request.timeout), timeout_us)
        return answered

    def perform(self, request: Perform) -> TimedOutcome | None:
        """What a step on Ordinaut's own stores comes to."""
        step = request.step
        arguments = orjson.loads(step.input)
        answered = self._given(self._mocks.take(step.path, step.tool, step.attempt))
        answered = answered or self._recorded(step.path, step.attempt)
        if answered is not None:
            if isinstance(answered.outcome, Output):
                self._stores.learn(step.tool, arguments, answered.outcome.value)
            return answered
        if self._follow:
            return None
        outcome = self._stores.perform(step.tool, arguments, request.idempotency_key)
        return TimedOutcome(outcome or self._made_up(step.path, step.attempt, self._tools.get(step.tool)))

    def _given(self, given: Given | None) -> TimedOutcome | None:
        if given is None or not (given.output or given.failure):
            return None
        return TimedOutcome(given.failure or Output(given.output[0]), given.duration_us or 0)

    def _recorded(self, path: str, attempt: int) -> TimedOutcome | None:
        if self._follow and (path.endswith(LOOKUP) or self._record.repeated(path, attempt)):
            return LOST
        recorded = self._record.answered(path, attempt)
        if recorded is None:
            return None
        entry = recorded.entry
        if not self._follow:
            return TimedOutcome(outcome_of(entry), lasted_us(entry))
        return TimedOutcome(outcome_of(entry), lasted_us(entry), entry.end_us, self._record.place(entry))

    def _made_up(self, path: str, attempt: int, tool: Tool | None) -> Output:
        """A value that fits the tool's output schema, if one is found."""
        self.drawn.append(path)
        schema = tool.output_schema if tool else None
        name = tool.name if tool else ""
        if schema is None:
            self.warnings[f"{name} has no output_schema: it answered {{}}; give it a mock"] = None
            return Output({})
        if name not in self._checks:
            self._checks[name] = compile_schema(schema)
        check, value = self._checks[name], None
        for number in range(TRIES):
            value = generate(schema, f"{self._seed}/{path}#{attempt}~{number}")
            if check is None or check(value) is None:
                return Output(value)
        keywords = ", ".join(sorted({f"`{error.keyword}`" for error in errors_of(schema, value)}))
        self.warnings[f"no value was found for {keywords} of the output_schema of {name}: give it a mock"] = None
        return Output(value)


def outcome_of(entry: JournalEntry) -> Output | Failure:
    """What an attempt was answered with."""
    if entry.state == FAILED:
        return Failure.from_json(entry.error)
    return Output(orjson.loads(entry.output) if entry.output else None)


def completed(step: JournalEntry, answered: TimedOutcome, end_us: int) -> JournalEntry:
    """An effect's entry with its outcome."""
    done = JournalEntry()
    done.CopyFrom(step)
    done.end_us = max(end_us, step.start_us)
    if isinstance(answered.outcome, Failure):
        failure = answered.outcome
        placed = failure if failure.step else failure.at(step.path, step.tool, step.attempt)
        done.state, done.error = FAILED, placed.to_json()
    else:
        done.state, done.output = SUCCEEDED, orjson.dumps(answered.outcome.value)
    return done
