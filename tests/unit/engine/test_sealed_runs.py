"""A run with sensitive values needs the data key that encrypted its journal."""

from typing import Any

import orjson
import pytest

from ordinaut.internal.v1.pipeline_engine_service_pb2 import Definition, JournalEntry, RunStart, Wait
from ordinaut.sensitive import MASK
from pipeline_engine.data.data_keys import DataKeys
from pipeline_engine.data.failure import Failure
from pipeline_engine.data.sealer import Sealer
from pipeline_engine.interpreter.executor import Execution
from pipeline_engine.interpreter.requests import Call, Commit, Effect, Finished, Output, Suspended
from pipeline_engine.interpreter.sealed_execution import EntrySealer, SealedExecution
from pipeline_engine.stream.plan_cache import PlanCache
from pipeline_engine.stream.run_start import EngineContext, prepare
from tests.unit.engine.pipelines import TOOL_TEXTS, pipeline, step
from tests.unit.engine.world import ManualClock

TOKEN = "tok_4711_canary"
LOGIN = {"name": "login", "http": {"url": "http://127.0.0.1:1/"}, "sensitive": ["/output/token"]}
OLD = DataKeys.generated()


class NoPort:
    """No tool is called, and no value is checked elsewhere."""

    async def call(self, request: Any) -> Any:
        raise AssertionError(request)

    async def check(self, request: Any) -> Any:
        raise AssertionError(request)


def prepared(keys: DataKeys | None, *journal: JournalEntry, tool: dict[str, Any] = LOGIN) -> Execution | Failure:
    document = pipeline(step("login", "login", input={}), output="${steps.login.token}")
    definition = Definition(pipeline=orjson.dumps(document), tools=[*TOOL_TEXTS, orjson.dumps(tool)], project="p")
    port = NoPort()
    context = EngineContext(PlanCache(), port, port, ManualClock(), lambda _key: 0.0, keys=keys)
    return prepare(RunStart(root="r", journal=journal, params=b"{}"), definition, context)


def recorded() -> JournalEntry:
    """The entry of the login, as it is sent to the worker."""
    execution = prepared(OLD)
    assert isinstance(execution, SealedExecution)
    [(number, call)] = execution.start().requests
    assert isinstance(call, Call)
    progress = execution.respond(number, Output({"token": TOKEN}))
    sent = [entry for _, request in progress.requests if isinstance(request, Commit) for entry in request.entries]
    ending = execution.ending
    assert isinstance(ending, Finished)
    assert TOKEN.encode() not in ending.output
    [entry] = [*sent, *ending.entries]
    assert TOKEN.encode() not in entry.SerializeToString()
    return entry


def test_a_resumed_run_has_the_value() -> None:
    execution = prepared(OLD, recorded())
    assert isinstance(execution, SealedExecution)
    execution.start()
    assert isinstance(execution.ending, Finished)
    assert execution.ending.state == "SUCCEEDED"


@pytest.mark.parametrize("keys", [None, DataKeys.generated()])
def test_a_run_without_its_key_fails_and_can_be_retried_later(keys: DataKeys | None) -> None:
    """It is not executed with the encrypted text in place of the value."""
    failure = prepared(keys, recorded())
    assert isinstance(failure, Failure)
    assert (failure.code, failure.details["reason"]) == ("DENIED", "DATA_KEY_UNAVAILABLE")


def test_a_run_without_sensitive_values_does_not_use_the_module() -> None:
    execution = prepared(OLD, tool={**LOGIN, "sensitive": []})
    assert type(execution) is Execution


def test_what_other_processes_read_stays_readable() -> None:
    """A short value may equal a code, the id of a step or a choice; these are not texts of the run."""
    values = Sealer(OLD, "p")
    values.learn(["login", "TOOL_ERROR", "approve", "a.b"])
    sealer = EntrySealer(values, {})
    error = {"code": "TOOL_ERROR", "step": "login", "message": "login", "details": {"k": "approve"}}
    sealed = orjson.loads(sealer.error(orjson.dumps(error)))
    assert (sealed["code"], sealed["step"]) == ("TOOL_ERROR", "login")
    assert "login" not in sealed["message"]
    assert "approve" not in str(sealed["details"])
    question = {"message": "approve", "data": "approve", "choices": ["approve"]}
    wait = Wait(path="a", kind="APPROVAL", input=orjson.dumps(question))
    [asked] = sealer.ending(Suspended([], [wait], 0)).waits  # type: ignore[union-attr]
    assert orjson.loads(asked.input)["choices"] == ["approve"]
    assert "approve" not in orjson.loads(asked.input)["data"]
    values.learn([1])
    chunk = JournalEntry(path="loop.chunk[0]", output=orjson.dumps({"outputs": [1, None], "failed": [1]}))
    [entry] = sealer.entries([chunk])
    assert orjson.loads(entry.output)["failed"] == [1]
    assert orjson.loads(entry.output)["outputs"] != [1, None]
    event = {"topic": "a.b", "data": {"k": "a.b"}}
    effect = Effect(JournalEntry(tool="orchestrator.emit", input=orjson.dumps(event)), "key")
    sent = sealer.request(effect)
    assert isinstance(sent, Effect)
    assert orjson.loads(sent.step.input) == {"topic": "a.b", "data": {"k": MASK}}
