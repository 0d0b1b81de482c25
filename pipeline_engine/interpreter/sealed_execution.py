"""Executes a run with sensitive values: they are plain in the execution only, and encrypted in all that leaves it.

The calls of tools are the exception: tools receive plain values. Events of `orchestrator.emit` get `[sensitive]`, and
the steps in REFUSED fail, because the value would reach another run, a condition or a name.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from ordinaut.clock import Clock
from ordinaut.internal.v1.pipeline_engine_service_pb2 import JournalEntry, RunStart, Wait
from ordinaut.json_places import Place
from ordinaut.limits import MAX_STEP_OUTPUTS_BYTES
from ordinaut.sensitive import PREFIX
from pipeline_engine.data.approval_answer import subject_hash
from pipeline_engine.data.failure import DENIED, Failure
from pipeline_engine.data.sealer import Sealer
from pipeline_engine.interpreter.executor import Execution, Progress
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
    Suspended,
)
from pipeline_engine.interpreter.run import StartTimes
from pipeline_engine.language.plan import Plan
from pipeline_engine.tools.definition import Sensitive, Tool

CHILDREN = frozenset({"orchestrator.run_task", "orchestrator.run_pipeline"})
CHUNK = re.compile(r"\.chunk\[\d+\]$")
"""The end of the path of an entry with the outputs of a chunk of a loop."""
EMIT = "orchestrator.emit"
REFUSED = CHILDREN | {"orchestrator.get_state", "orchestrator.put_state", "orchestrator.wait_event"}
_PREFIX = PREFIX.encode()


def has_sealed_results(start: RunStart) -> bool:
    """Whether a child run has returned encrypted values to this run."""
    entries = (entry for part in (start.journal, start.waits) for entry in part)
    return any(entry.tool in CHILDREN and (_PREFIX in entry.output or _PREFIX in entry.error) for entry in entries)


class EntrySealer:
    """Encrypts and decrypts the messages of one run; `sensitive` are the sensitive places by tool."""

    def __init__(self, sealer: Sealer, sensitive: Mapping[str, Sensitive]) -> None:
        self.values = sealer
        self._sensitive = sensitive

    def open_start(self, start: RunStart) -> RunStart:
        """Returns the start of a run with its journal decrypted.

        Raises:
            DataKeyError: a value cannot be decrypted.
        """
        opened = RunStart()
        opened.CopyFrom(start)
        for entry in (*opened.journal, *opened.waits):
            self.open_entry(entry)
        return opened

    def open_entry(self, entry: JournalEntry) -> None:
        """Decrypts an entry in place.

        Raises:
            DataKeyError: a value cannot be decrypted.
        """
        for name in ("input", "output", "error"):
            if _PREFIX in (text := getattr(entry, name)):
                setattr(entry, name, orjson.dumps(self.values.open(orjson.loads(text))))

    def entries(self, entries: Iterable[JournalEntry]) -> list[JournalEntry]:
        """Returns entries as the journal holds them."""
        entries = list(entries)
        for entry in entries:
            if (places := self._sensitive.get(entry.tool)) is not None:
                self._learn(entry.input, places.input)
                self._learn(entry.output, places.output)
        return [self._entry(entry) for entry in entries]

    def json(self, text: bytes, places: Sequence[Place] = ()) -> bytes:
        """Returns JSON text with its sensitive values encrypted."""
        return orjson.dumps(self.values.seal(orjson.loads(text), places)) if text else text

    def error(self, text: bytes) -> bytes:
        """Returns an error as JSON with its sensitive values encrypted; other processes read its other fields."""
        return self._members(text, ("message", "details"))

    def _members(self, text: bytes, names: Sequence[str], places: Sequence[Place] = ()) -> bytes:
        if not text:
            return text
        document = orjson.loads(text)
        chosen = self.values.seal({name: document[name] for name in names if name in document}, places)
        return orjson.dumps({**document, **chosen})

    def request(self, request: Request) -> Request:
        """Returns a request as it leaves the execution."""
        if isinstance(request, Commit):
            return Commit(self.entries(request.entries))
        if isinstance(request, Effect):
            entries, step = self.entries(request.entries), JournalEntry()
            step.CopyFrom(request.step)
            if step.tool == EMIT:
                step.input = self._masked_event(orjson.loads(step.input))
            return Effect(step, request.idempotency_key, entries)
        return request

    def _masked_event(self, event: dict[str, Any]) -> bytes:
        """Masks the content of an event; its topic only if it contains a long value, which makes it invalid."""
        masked = self.values.mask(event)
        topic = event.get("topic")
        return orjson.dumps(masked if self.values.holds(topic) else {**masked, "topic": topic})

    def ending(self, ending: Ending) -> Ending:
        """Returns the end of a segment as it leaves the execution."""
        entries = self.entries(ending.entries)
        if isinstance(ending, Finished):
            return Finished(entries, ending.state, self.json(ending.output), self.error(ending.error))
        if isinstance(ending, Delayed):
            return Delayed(entries, ending.delay_ms)
        return Suspended(entries, [self._wait(wait) for wait in ending.waits], ending.wake_ms)

    def learn_input(self, call: Call) -> None:
        """Learns the sensitive values of the input of a call."""
        if call.tool.sensitive is not None:
            self.values.learn_at(call.input, call.tool.sensitive.input)

    def learn_output(self, call: Call, response: Response) -> None:
        """Learns the sensitive values of the output of a call."""
        if call.tool.sensitive is not None and isinstance(response, Output):
            self.values.learn_at(response.value, call.tool.sensitive.output)

    def guard(self, tool: str, value: Any) -> Failure | None:
        """Returns why a step may not have this input."""
        if tool not in REFUSED or not self.values.holds(value):
            return None
        message = f"the input contains a sensitive value of this run, which {tool} must not get"
        return Failure(DENIED, message, details={"reason": "SENSITIVE_VALUE"})

    def _learn(self, text: bytes, places: Sequence[Place]) -> None:
        if text and places:
            self.values.learn_at(orjson.loads(text), places)

    def _entry(self, entry: JournalEntry) -> JournalEntry:
        places = self._sensitive.get(entry.tool)
        sealed = JournalEntry()
        sealed.CopyFrom(entry)
        sealed.input = self.json(entry.input, places.input if places else ())
        if CHUNK.search(entry.path):  # the store reads which iterations have failed
            sealed.output = self._members(entry.output, ("outputs",))
        else:
            sealed.output = self.json(entry.output, places.output if places else ())
        sealed.error = self.error(entry.error)
        return sealed

    def _wait(self, wait: Wait) -> Wait:
        if not wait.input:
            return wait
        sealed = Wait()
        sealed.CopyFrom(wait)
        places = self._sensitive.get(wait.guarded_tool)
        inner = [("data", *place) for place in places.input] if places else []
        if wait.kind == "APPROVAL":  # the store reads its other members
            sealed.input = self._members(wait.input, ("message", "data"), inner)
        else:
            sealed.input = self.json(wait.input)
        if wait.subject_hash and sealed.input != wait.input:  # the hash of a short plain value would reveal it
            sealed.subject_hash = subject_hash(orjson.loads(sealed.input).get("data"))
        return sealed


class SealedExecution(Execution):
    """An execution whose requests and ending hold sensitive values encrypted. The arguments are those of Execution."""

    discreet = True

    def __init__(
        self,
        sealer: EntrySealer,
        plan: Plan,
        start: RunStart,
        clock: Clock,
        fraction: Callable[[str], float],
        start_times: StartTimes | None = None,
        outputs_max_bytes: float = MAX_STEP_OUTPUTS_BYTES,
        hold: Callable[[Tool], float] = lambda _tool: 0.0,
        params_check: CheckValue | None = None,
    ) -> None:
        super().__init__(plan, start, clock, fraction, start_times, outputs_max_bytes, hold, params_check, sealer.guard)
        self._sealer = sealer
        self._calls: dict[int, Call] = {}
        self._sealed_ending = False

    def start(self) -> Progress:
        """Advances the run as far as possible."""
        return self._sealed(super().start())

    def respond(self, request_id: int, response: Response) -> Progress:
        """Continues with the response to a request."""
        if (call := self._calls.pop(request_id, None)) is not None:
            self._sealer.learn_output(call, response)
        return self._sealed(super().respond(request_id, response))

    def interrupt(self) -> Progress:
        """Ends the steps of a run that is cancelled, and starts its final ones."""
        return self._sealed(super().interrupt())

    def close(self) -> list[JournalEntry]:
        """Cancels all strands; returns the entries that were not sent."""
        return self._sealer.entries(super().close())

    def checkpoint(self) -> Progress:
        """Writes older entries and starts of calls."""
        return self._sealed(super().checkpoint())

    def _sealed(self, progress: Progress) -> Progress:
        for request_id in progress.cancelled:
            self._calls.pop(request_id, None)
        calls = {number: request for number, request in progress.requests if isinstance(request, Call)}
        for call in calls.values():
            self._sealer.learn_input(call)
        self._calls |= calls
        progress.requests = [(number, self._sealer.request(request)) for number, request in progress.requests]
        if self.ending is not None and not self._sealed_ending:
            self.ending, self._sealed_ending = self._sealer.ending(self.ending), True
        return progress
