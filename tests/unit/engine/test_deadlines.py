"""A deadline ends a run whatever it does: while it calls, sleeps, waits, or is between two claims."""

from typing import Any

import orjson
import pytest

from pipeline_engine.data.failure import DEADLINE, OUTCOME_UNKNOWN, TIMEOUT, TOOL_UNAVAILABLE, Failure
from pipeline_engine.interpreter.requests import Call, Output
from tests.unit.engine.pipelines import TOOL_TEXTS, pipeline, step
from tests.unit.engine.simulated import simulated, steps_of
from tests.unit.engine.test_replays_reproduce_runs import replayed, told
from tests.unit.engine.world import STARTED_AT, World, error_of

LIST, WEATHER, SEND = "calendar.list_events", "weather.forecast", "mail.send"
MAIL = orjson.dumps({"name": SEND, "effect": "UNSAFE", "http": {"method": "POST", "url": "http://127.0.0.1:1/"}})
SLOW = Failure(TIMEOUT, "no answer", retryable=True, may_have_happened=True)
WAITS: dict[str, dict[str, Any]] = {
    "timer": step("w", "orchestrator.wait", input={"for": "2h"}),
    "event": step("w", "orchestrator.wait_event", input={"topic": "t", "timeout": "2h"}),
    "approval": step("w", "orchestrator.request_approval", input={"message": "?", "expires_in": "2h"}),
    "child": step("w", "orchestrator.run_task", input={"task": "tasks/a", "wait": True}),
    "pipeline": step("w", "orchestrator.run_pipeline", input={"pipeline": {"steps": [{"id": "a", "uses": LIST}]}}),
    "until": step("w", LIST, input={"start": "x"}, until="false", every="2h", timeout="10h"),
    "needs_approval": step("w", LIST, input={"start": "x"}, needs_approval={"expires_in": "2h"}),
}
NOTE = step(
    "note", "orchestrator.emit", input={"topic": "t", "data": {"code": "${error.code}", "step": "${error.step}"}}
)
CLOSE = step("close", "orchestrator.emit", input={"topic": "c", "data": {"state": "${run.state}", "e": "${run.error}"}})


def ended(document: dict[str, Any], **more: Any) -> tuple[World, dict[str, Any]]:
    world = World(document, tools=[*TOOL_TEXTS, MAIL], **more)
    world.deadlines = _Far(world)
    return world, error_of(world.run())


class _Far(dict[str, int]):
    """The deadlines of waits; one without a deadline ends after two hours."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def __setitem__(self, path: str, us: int) -> None:
        super().__setitem__(path, us if us > self._world.now_us else self._world.now_us + 7_200_000_000)


def seconds_of(world: World) -> float:
    return world.clock.seconds - STARTED_AT


def entry_of(world: World, path: str) -> Any:
    return next(entry for entry in reversed(world.journal) if entry.path == path)


@pytest.mark.parametrize("kind", WAITS)
@pytest.mark.parametrize("crash_at", [None, 0, 1, 2, 3])
def test_a_waiting_run_ends_at_its_deadline(kind: str, crash_at: int | None) -> None:
    document = pipeline(
        step("a", LIST, input={"start": "x"}), WAITS[kind], deadline="1h", on_error=[NOTE], **{"finally": [CLOSE]}
    )
    world, error = ended(document, crash_at=crash_at)
    path = {"needs_approval": "w.approval", "until": "w.every[0]"}.get(kind, "w")
    assert (error["code"], error["step"]) == (DEADLINE, "w")
    assert seconds_of(world) == pytest.approx(3600, abs=1)
    entry = entry_of(world, path)
    assert (entry.state, orjson.loads(entry.error)["code"], bool(entry.input)) == ("FAILED", DEADLINE, True)
    assert orjson.loads(entry_of(world, "on_error.note").input)["data"] == {"code": DEADLINE, "step": "w"}
    closed = orjson.loads(entry_of(world, "finally.close").input)["data"]
    assert (closed["state"], closed["e"]["code"]) == ("FAILED", DEADLINE)
    assert len(world.effects) == 2


def test_the_earlier_one_of_policy_and_document_applies() -> None:
    for policy_ms, limit in ((60_000, "1h"), (3_600_000, "60s")):
        world, error = ended(pipeline(WAITS["timer"], deadline=limit), deadline_ms=policy_ms)
        assert error["code"] == DEADLINE
        assert "60s" in error["message"]
        assert seconds_of(world) == pytest.approx(60, abs=1)


def test_the_timeout_still_does_not_count_waits() -> None:
    world = World(pipeline(step("w", "orchestrator.wait", input={"for": "2h"}), timeout="1h"), remaining_ms=3_600_000)
    assert world.run().state == "SUCCEEDED"


def test_a_run_within_its_deadline_succeeds() -> None:
    world = World(pipeline(step("w", "orchestrator.wait", input={"for": "59m"}), deadline="1h"))
    assert world.run().state == "SUCCEEDED"


def test_a_call_in_flight_ends_at_the_deadline() -> None:
    document = pipeline(step("a", LIST, input={"start": "x"}, timeout="1h", retry=5), deadline="20s")
    world, error = ended(document, answer=lambda _call: SLOW)
    assert (error["code"], error["step"], error["attempt"]) == (DEADLINE, "a", 1)
    assert orjson.loads(entry_of(world, "a").error)["code"] == DEADLINE
    assert [call.timeout for call in world.calls] == [20]


def test_a_retry_delay_ends_at_the_deadline_and_the_step_is_not_called_again() -> None:
    rule = {"max": 5, "delay": "5m", "jitter": 0}
    document = pipeline(step("a", LIST, input={"start": "x"}, retry=rule, on_error="continue"), deadline="8m")
    world, error = ended(document, answer=lambda _call: Failure(TOOL_UNAVAILABLE, "no", retryable=True))
    assert (error["code"], error["attempt"]) == (DEADLINE, 3)
    assert len(world.calls) == 2
    assert seconds_of(world) == pytest.approx(480, abs=1)


def test_the_deadline_of_a_resumed_run_counts_from_its_first_start() -> None:
    """Also if it was away for longer than the deadline."""
    world = World(pipeline(step("a", LIST, input={"start": "x"}), WAITS["timer"], deadline="1h"))
    world.segment()
    world.clock.seconds += 4000
    error = error_of(world.run())
    assert (error["code"], error["step"]) == (DEADLINE, "w")


def test_branches_and_iterations_end_together() -> None:
    both = {"id": "both", "branches": {"one": [WAITS["timer"]], "two": [{**WAITS["event"], "id": "v"}]}}
    each = {"id": "each", "foreach": [1, 2], "do": [WAITS["timer"]], "on_error": "continue"}
    for block, paths in ((both, ["both.one.w", "both.two.v"]), (each, ["each[0].w", "each[1].w"])):
        world, error = ended(pipeline(block, deadline="1h", on_error=[NOTE], **{"finally": [CLOSE]}))
        assert (error["code"], error["step"]) == (DEADLINE, paths[0])
        assert [entry_of(world, path).state for path in paths] == ["FAILED", "CANCELLED"]
        assert len(world.effects) == 2


def test_an_unsafe_call_in_flight_has_an_unknown_outcome() -> None:
    """No person is asked after the deadline."""
    document = pipeline(step("s", SEND, input={}, timeout="1h"), deadline="20s", on_error=[NOTE])
    world, error = ended(document, answer=lambda _call: SLOW)
    assert error["code"] == DEADLINE
    assert orjson.loads(entry_of(world, "s").error)["code"] == OUTCOME_UNKNOWN
    assert world.stays == []


@pytest.mark.parametrize("crash_at", [None, 1, 2, 3, 4])
def test_an_open_question_about_an_unsafe_call_ends_at_the_deadline(crash_at: int | None) -> None:
    document = pipeline(step("s", SEND, input={}, timeout="10s"), deadline="1h", on_error=[NOTE])
    lost = Failure(TOOL_UNAVAILABLE, "lost", may_have_happened=True)
    world, error = ended(document, answer=lambda _call: lost, crash_at=crash_at)
    assert (error["code"], error["step"]) == (DEADLINE, "s")
    unknown = orjson.loads(entry_of(world, "s").error)
    assert (unknown["code"], "not answered" in unknown["message"]) == (OUTCOME_UNKNOWN, True)
    assert len(world.calls) == 1


def test_handlers_have_a_minute_after_the_deadline_and_do_not_wait_longer() -> None:
    nap = step("nap", "orchestrator.wait", input={"for": "30d"})
    world, error = ended(pipeline(WAITS["timer"], deadline="1h", on_error=[nap, NOTE], **{"finally": [CLOSE]}))
    assert (error["code"], error["step"]) == (DEADLINE, "w")
    assert seconds_of(world) == pytest.approx(3660, abs=2)
    assert entry_of(world, "on_error.nap").state == "FAILED"
    assert [entry.path for entry in world.journal][-2:] == ["finally", "finally.close"]


def test_a_result_that_arrived_in_time_is_kept() -> None:
    document = pipeline(WAITS["timer"], step("b", LIST, input={"start": "x"}), deadline="3h")
    world = World(document)
    world._wait(world.segment())  # type: ignore[arg-type]
    world.clock.seconds += 10_800
    error = error_of(world.run())
    assert (error["code"], error["step"], entry_of(world, "w").state) == (DEADLINE, "b", "SUCCEEDED")


def test_simulations_and_replays_reach_the_deadline() -> None:
    document = pipeline(WAITS["timer"], deadline="1h", on_error=[NOTE], **{"finally": [CLOSE]})
    answer = simulated(document)
    assert (answer.state, orjson.loads(answer.error)["code"]) == ("FAILED", DEADLINE)
    assert answer.end_us - 1_800_000_000_000_000 == pytest.approx(3.6e9, abs=1e6)
    assert steps_of(answer) == [
        ("w", 1, "FAILED"), ("on_error", 1, "SUCCEEDED"), ("on_error.note", 1, "SUCCEEDED"),
        ("finally", 1, "SUCCEEDED"), ("finally.close", 1, "SUCCEEDED"),
    ]  # fmt: skip
    world, error = ended(document)
    again = replayed(world, remaining_ms=86_400_000)
    assert (again.state, orjson.loads(again.error)) == ("FAILED", error)
    assert told(again.steps) == told(world.journal)


def test_a_step_that_fails_before_the_deadline_fails_the_run_with_its_own_error() -> None:
    def answer(call: Call) -> Output | Failure:
        return Failure("NO", "no") if call.tool.name == LIST else Output({})

    world, error = ended(pipeline(step("a", LIST, input={"start": "x"}), deadline="1h", on_error=[NOTE]), answer=answer)
    assert error["code"] == "NO"
    assert world.states()[1] == ("on_error", 1, "SUCCEEDED")
