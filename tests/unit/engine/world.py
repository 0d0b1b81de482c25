"""Drives a run like an engine and its worker, without sockets; it can crash at any request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from ordinaut.expressions.times import timestamp_of_us
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, RunStart, Wait
from ordinaut.limits import MAX_STEP_OUTPUTS_BYTES
from pipeline_engine.data.failure import TIMEOUT, Failure
from pipeline_engine.interpreter.executor import Execution
from pipeline_engine.interpreter.journal import OpenStarts, merge
from pipeline_engine.interpreter.requests import (
    Call,
    CheckValue,
    Commit,
    Delayed,
    Effect,
    Ending,
    Finished,
    Output,
    Request,
    Response,
    Sleep,
    Suspended,
)
from pipeline_engine.language.compile import compile_plan
from pipeline_engine.tools.definition import Tool
from tests.unit.engine.pipelines import TOOL_TEXTS

CHILDREN = frozenset({"orchestrator.run_task", "orchestrator.run_pipeline"})
STARTED_AT = 1000.0
NOW_US = 1_800_000_000_000_000

# An engine has a cache as well: a plan does not change while it runs.
_compiled = lru_cache(maxsize=64)(compile_plan)


class CrashedError(Exception):
    """The simulated crash of the engine."""


class ManualClock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.seconds = STARTED_AT

    def now(self) -> datetime:
        return datetime.fromtimestamp(1_700_000_000 + self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


def succeed(_call: Call) -> Output | Failure:
    return Output({"events": [1, 2]})


def awake_first(asked: list[tuple[int, Request]]) -> int:
    """Chooses the next response: to the first request that is not a sleep, else to the shortest sleep."""
    seconds = [request.seconds if isinstance(request, Sleep) else -1.0 for _, request in asked]
    return seconds.index(min(seconds))


@dataclass
class World:
    """One run: its durable entries, its calls, and the request at which the engine crashes."""

    document: Any
    answer: Callable[[Call], Output | Failure] = succeed
    perform: Callable[[JournalEntry], Any] = lambda entry: {"event": "events/1", "revision": 1, "value": None}
    params: dict[str, Any] = field(default_factory=dict)
    tools: list[bytes] = field(default_factory=lambda: TOOL_TEXTS)
    denied: tuple[str, ...] = ()
    retry: bytes = b""
    remaining_ms: int = 0
    outputs_max_bytes: float = MAX_STEP_OUTPUTS_BYTES
    crash_at: int | None = None
    crash_before_answer: bool = False
    journal: list[JournalEntry] = field(default_factory=list)
    starts: OpenStarts = field(default_factory=dict)
    stay_of: dict[tuple[str, int], int] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    requests: int = 0
    clock: ManualClock = field(default_factory=ManualClock)
    jitter: float = 0.0
    choose: Callable[[list[tuple[int, Request]]], int] = awake_first
    most_at_once: int = 0
    waits: dict[str, JournalEntry] = field(default_factory=dict)
    stays: list[list[str]] = field(default_factory=list)
    deadlines: dict[str, int] = field(default_factory=dict)
    questions: dict[str, Wait] = field(default_factory=dict)
    reply: dict[str, Any] = field(default_factory=dict)
    child: Callable[[dict[str, Any]], Any] = lambda given: given["params"]
    happens: Callable[[list[str]], str] = lambda paths: paths[0]
    now_us: int = NOW_US
    waited_ms: int = 0
    hold: Callable[[Tool], float] = lambda _tool: 0.0
    semantics: int = 0
    cancel_at: int | None = None
    cancelled: bool = False
    deadline_ms: int = 0
    checks: int = 0
    check: Callable[[CheckValue], Response] = lambda request: request.check.first_problem(orjson.loads(request.body))

    def run(self) -> Finished:
        """To the end, through crashes and delays."""
        while True:
            try:
                ending = self.segment()
            except CrashedError:
                continue
            if isinstance(ending, Finished):
                return ending
            if isinstance(ending, Suspended):
                self._wait(ending)
                continue
            self.slept.append(ending.delay_ms / 1000)
            self.clock.seconds += ending.delay_ms / 1000

    def _wait(self, ending: Suspended, *, comes: bool = True) -> None:
        """Keeps what the run waits for; unless something is there already, one of it `comes`: the earliest."""
        named = {wait.path for wait in ending.waits}
        self.stays.append(sorted(named))
        self.waits = {path: entry for path, entry in self.waits.items() if path in named}
        for wait in ending.waits:
            if wait.kind and wait.path not in self.waits:
                entry = JournalEntry(path=wait.path, attempt=1, state="WAITING", tool=wait.tool, input=wait.input)
                entry.start_us = entry.end_us = round(self.clock.now().timestamp() * 1_000_000)
                self.waits[wait.path] = entry
                left = wait.deadline_us or self.now_us + 1000 * wait.deadline_ms
                self.deadlines[wait.path] = left
                if wait.kind == "APPROVAL":
                    self.questions[wait.path] = wait
        if comes and all(entry.state == "WAITING" for entry in self.waits.values()):
            path = self.happens(sorted(self.waits, key=self.deadlines.__getitem__))
            wake_us = self.now_us + 1000 * ending.wake_ms
            if ending.wake_ms and wake_us < self.deadlines[path]:
                self._pass(wake_us)
            else:
                self._happen(path)

    def _happen(self, path: str) -> None:
        entry, end_us = self.waits[path], self.deadlines[path]
        entry.state, entry.output = "SUCCEEDED", orjson.dumps(self._result(path, timestamp_of_us(end_us)))
        self._pass(end_us)

    def _pass(self, until_us: int) -> None:
        """Lets the waiting run's time pass."""
        passed_us = max(0, until_us - self.now_us)
        self.clock.seconds += passed_us / 1_000_000
        self.waited_ms += passed_us // 1000
        self.now_us += passed_us

    def _result(self, path: str, moment: str) -> Any:
        """A timer's end, what `child` gives for its input, or the answer to a question.

        That is its first choice and the example of its schema, or `reply`.
        """
        if self.waits[path].tool in CHILDREN:
            return self.child(orjson.loads(self.waits[path].input))
        if path not in self.questions:
            return {"until": moment}
        asked = orjson.loads(self.questions[path].input)
        answer = {
            "status": "approved",
            "choice": asked.get("choices", ["approve"])[0],
            "agent": "agents/boss",
            "approval": "approvals/1",
            "time": moment,
        }
        if "answer_schema" in asked:
            answer["input"] = asked["answer_schema"]["examples"][0]
        return {**answer, **self.reply}

    def segment(self) -> Ending:
        """From the journal to an end, a delay or a crash."""
        plan = _compiled(
            orjson.dumps(self.document),
            tuple(self.tools),
            tuple(self.denied),
            self.retry,
            semantics=self.semantics,
            deadline_ms=self.deadline_ms,
        )
        start = RunStart(
            handle=1,
            hash="h",
            root="root",
            params=orjson.dumps(self.params),
            run=b'{"name":"runs/r"}',
            event=b'{"data":{"x":1}}',
            now_us=self.now_us,
            remaining_ms=self.remaining_ms,
            journal=self.journal,
            waits=list(self.waits.values()),
            waited_ms=self.waited_ms,
            elapsed_ms=round((self.clock.seconds - STARTED_AT) * 1000),
            cancelled=self.cancelled,
        )
        execution = Execution(
            plan,
            start,
            self.clock,
            lambda _key: self.jitter,
            outputs_max_bytes=self.outputs_max_bytes,
            hold=self.hold,
        )
        progress = execution.start()
        asked: list[tuple[int, Request]] = []
        while execution.ending is None:
            asked = [(ask, request) for ask, request in [*asked, *progress.requests] if ask not in progress.cancelled]
            self.most_at_once = max(self.most_at_once, sum(isinstance(request, Call) for _, request in asked))
            if self.requests == self.cancel_at and not self.cancelled:
                self.cancelled = True
                progress = execution.interrupt()
                continue
            ask, request = asked.pop(self.choose(asked))
            progress = execution.respond(ask, self._serve(request))
        self._keep(execution.ending.entries)
        return execution.ending

    def _serve(self, request: Request) -> Response:
        crashes = self.requests == self.crash_at
        self.requests += 1
        if crashes and self.crash_before_answer:
            raise CrashedError
        answer = self._answer(request)
        if crashes:
            raise CrashedError
        return answer

    def _answer(self, request: Request) -> Response:
        if isinstance(request, Commit):
            self._keep(request.entries)
            return None
        if isinstance(request, Effect):
            return self._perform(request)
        if isinstance(request, Call):
            self.calls.append(request)
            answer = self.answer(request)
            if isinstance(answer, Failure) and answer.code == TIMEOUT:
                self.clock.seconds += request.timeout
            return answer
        if isinstance(request, CheckValue):
            self.checks += 1
            return self.check(request)
        self.slept.append(request.seconds)
        self.clock.seconds += request.seconds
        return None

    def _perform(self, request: Effect) -> JournalEntry:
        self._keep(request.entries)
        self.effects.append(request.idempotency_key)
        output = self.perform(request.step)
        step = request.step
        entry = JournalEntry(path=step.path, attempt=step.attempt, tool=step.tool, input=step.input)
        if isinstance(output, Failure):
            entry.state, entry.error = "FAILED", output.to_json()
        else:
            entry.state, entry.output = "SUCCEEDED", orjson.dumps(output)
        self._keep([entry])
        return entry

    def _keep(self, entries: Sequence[JournalEntry]) -> None:
        """Makes entries durable; each is known by the stay that wrote it."""
        merge(self.journal, self.starts, entries)
        for entry in entries:
            self.stay_of[entry.path, entry.attempt] = self.now_us

    def states(self) -> list[tuple[str, int, str]]:
        """Path, attempt and state of every recorded attempt."""
        return [(entry.path, entry.attempt, entry.state) for entry in self.journal]


def failing(times: int, code: str = "TOOL_UNAVAILABLE", **more: Any) -> Callable[[Call], Output | Failure]:
    """Returns a tool that fails `times` times and then answers."""
    left = [times]

    def answer(_call: Call) -> Output | Failure:
        left[0] -= 1
        return Failure(code, "no", retryable=True, **more) if left[0] >= 0 else Output({"events": [1, 2]})

    return answer


def error_of(ending: Finished) -> dict[str, Any]:
    """Returns the error of a failed run."""
    assert ending.state == "FAILED"
    error: dict[str, Any] = orjson.loads(ending.error)
    return error


__all__ = ["Delayed", "World", "error_of", "failing", "succeed"]
