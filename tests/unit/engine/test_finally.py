"""`finally` runs once at the end of a run, however it ends, and never turns its failure into a success."""

from collections import Counter
from functools import cache
from typing import Any

import orjson
import pytest

from pipeline_engine.data.failure import OUTCOME_UNKNOWN, TIMEOUT, TOOL_UNAVAILABLE, Failure
from pipeline_engine.interpreter.requests import Call, Finished, Output
from tests.sample import FULL
from tests.unit.engine.pipelines import TOOL_TEXTS, checked, pipeline, step
from tests.unit.engine.simulated import mock, simulated, steps_of
from tests.unit.engine.test_replays_reproduce_runs import replayed, told
from tests.unit.engine.world import STARTED_AT, World, error_of

LIST, SEND = "calendar.list_events", "mail.send"
MAIL = orjson.dumps({"name": SEND, "effect": "UNSAFE", "http": {"method": "POST", "url": "http://127.0.0.1:1/"}})
READ = {
    "state": "${run.state}",
    "error": "${run.error}",
    "run": "${run.name}",
    "a": "${steps.a}",
    "b": "${steps.b}",
}
CLOSE = step("close", "orchestrator.emit", input={"topic": "c", "data": READ})
FIRST = step("a", LIST, input={"start": "x"})
FAILS = step("b", "orchestrator.fail", input={"code": "NO", "message": "m"})
NOTE = step("note", "orchestrator.emit", input={"topic": "t", "data": {"code": "${error.code}"}})


def with_finally(*steps: dict[str, Any], final: Any = (CLOSE,), **more: Any) -> dict[str, Any]:
    return pipeline(*steps, **{"finally": list(final), **more})


def run(document: dict[str, Any], **more: Any) -> tuple[World, Finished]:
    world = World(document, tools=[*TOOL_TEXTS, MAIL], params={"p": 1}, **more)
    return world, world.run()


def paths(world: World) -> list[str]:
    return [entry.path for entry in world.journal]


def closed(world: World) -> dict[str, Any]:
    entry = next(entry for entry in world.journal if entry.path == "finally.close")
    data: dict[str, Any] = orjson.loads(entry.input)["data"]
    return data


def test_its_keys_contain_the_run() -> None:
    final = [step("call", LIST, input={"start": "${step.idempotency_key}"})]
    world, _ = run(with_finally(FIRST, step("b"), final=final))
    assert [call.idempotency_key for call in world.calls] == ["root/a", "root/r/finally.call"]
    assert world.calls[1].input["start"] == "root/r/finally.call"


def test_after_a_success() -> None:
    close = {**CLOSE, "with": {"topic": "c", "data": {**READ, "p": "${params.p}"}}}
    world, ending = run(with_finally(FIRST, step("b"), final=[close], output="${steps.a}"))
    assert (ending.state, orjson.loads(ending.output)) == ("SUCCEEDED", {"events": [1, 2]})
    events = {"events": [1, 2]}
    expected = {"state": "SUCCEEDED", "error": None, "run": "runs/r", "a": events, "b": {}, "p": 1}
    assert closed(world) == expected


def test_after_a_failure_and_its_handlers() -> None:
    world, ending = run(with_finally(FIRST, FAILS, step("c"), on_error=[NOTE]))
    assert error_of(ending)["code"] == "NO"
    assert paths(world) == ["a", "b", "on_error.note", "finally", "finally.close"]
    assert (closed(world)["state"], closed(world)["error"]["code"], closed(world)["b"]) == ("FAILED", "NO", None)


def test_after_a_stop_and_after_an_output_that_cannot_be_rendered() -> None:
    world, ending = run(with_finally(FIRST, step("b", "orchestrator.stop", input={"output": 7})))
    assert (ending.state, ending.output, closed(world)["state"]) == ("SUCCEEDED", b"7", "SUCCEEDED")
    world, ending = run(with_finally(FIRST, step("b"), output="${steps.a.nothing}!"))
    assert (error_of(ending)["code"], closed(world)["state"]) == ("EXPRESSION", "FAILED")


def test_after_a_timeout() -> None:
    slow = Failure(TIMEOUT, "slow", retryable=True, may_have_happened=True)
    world, ending = run(
        with_finally(FIRST, step("b"), timeout="5s"), answer=lambda _call: slow, perform=lambda _entry: {}
    )
    assert (error_of(ending)["code"], closed(world)["error"]["code"]) == (TIMEOUT, TIMEOUT)


def test_its_failure_fails_a_run_that_succeeded_and_is_a_detail_of_one_that_failed() -> None:
    bad = step("bad", "orchestrator.fail", input={"code": "LATE", "message": "m"})
    _, ending = run(with_finally(FIRST, step("b"), final=[bad, CLOSE]))
    assert (error_of(ending)["code"], error_of(ending)["step"]) == ("LATE", "finally.bad")
    world, ending = run(with_finally(FIRST, FAILS, final=[bad, CLOSE]))
    error = error_of(ending)
    assert (error["code"], error["details"]["finally"]["code"]) == ("NO", "LATE")
    assert "finally.close" not in paths(world)
    handled = {**bad, "on_error": "continue"}
    world, ending = run(with_finally(FIRST, FAILS, final=[handled, CLOSE]))
    assert "finally" not in error_of(ending).get("details", {})
    assert "finally.close" in paths(world)


def test_all_of_it_has_a_minute() -> None:
    slow = step("slow", LIST, input={"start": "x"}, timeout="10m", retry=9)

    def answer(call: Call) -> Output | Failure:
        late = Failure(TIMEOUT, "slow", retryable=True, may_have_happened=True)
        return late if call.path.startswith("finally") else Output({"events": []})

    world, ending = run(with_finally(FIRST, step("b"), final=[slow, CLOSE]), answer=answer)
    assert (error_of(ending)["code"], "60 s" in error_of(ending)["message"]) == (TIMEOUT, True)
    assert world.clock.seconds - STARTED_AT == pytest.approx(60, abs=1)


def test_limits_that_the_main_part_has_used_up_do_not_apply_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither to the handlers of the pipeline."""
    monkeypatch.setattr("ordinaut.expressions.bounds.MAX_RUN_FUEL", 100)
    monkeypatch.setattr("pipeline_engine.interpreter.flow.blocks.MAX_ITERATIONS", 40)
    costly = step("b", input={"x": "${[item, item, item, item]}"}, foreach=list(range(30)))
    again = step("again", input={"x": "${item}"}, foreach=list(range(30)))
    world, ending = run(with_finally(costly, final=[again], on_error=[NOTE]))
    assert "exceed 100 element visits" in error_of(ending)["message"]
    states = {entry.path: entry.state for entry in world.journal}
    assert (states["on_error.note"], states["finally.again"]) == ("SUCCEEDED", "SUCCEEDED")


def test_a_long_retry_delay_stays_in_the_engine_and_within_the_minute() -> None:
    rule = {"max": 5, "delay": "40s", "jitter": 0}

    def answer(call: Call) -> Output | Failure:
        no = Failure(TOOL_UNAVAILABLE, "no", retryable=True)
        return no if call.path.startswith("finally") else Output({"events": []})

    document = with_finally(FIRST, step("b"), final=[step("r", LIST, input={"start": "x"}, retry=rule)])
    world, ending = run(document, answer=answer)
    assert error_of(ending)["code"] == TIMEOUT
    assert world.clock.seconds - STARTED_AT == pytest.approx(60, abs=1)


def test_an_unsafe_call_asks_no_person() -> None:
    def answer(call: Call) -> Output | Failure:
        lost = Failure(TOOL_UNAVAILABLE, "lost", may_have_happened=True)
        return lost if call.tool.name == SEND else Output({"events": []})

    final = [step("s", SEND, input={}, on_error="continue"), CLOSE]
    for crash_at in (None, *range(7)):
        world, ending = run(with_finally(FIRST, step("b"), final=final), answer=answer, crash_at=crash_at)
        assert (ending.state, world.stays) == ("SUCCEEDED", [])
        recorded = next(entry for entry in world.journal if entry.path == "finally.s")
        assert orjson.loads(recorded.error)["code"] == OUTCOME_UNKNOWN
        assert sum(call.path == "finally.s" for call in world.calls) <= 1


TWO = step("two", LIST, input={"start": "${run.state}"})
LAST = step("last", "orchestrator.put_state", input={"namespace": "n", "key": "k", "value": "${steps.two}"})
DOCUMENTS = {
    "succeeding": with_finally(FIRST, step("b"), final=[CLOSE, TWO, LAST], output="${steps.a}"),
    "failing": with_finally(FIRST, FAILS, final=[CLOSE, TWO, LAST], on_error=[NOTE]),
    "waiting": with_finally(
        FIRST, step("b"), step("w", "orchestrator.wait", input={"for": "1h"}), final=[CLOSE, TWO, LAST]
    ),
    "rounds": with_finally(
        step("a", LIST, input={"start": "x"}, until="length(steps.a.events) == 2", every="1h"),
        step("b", condition="false") | {"else": [step("other", LIST, input={"start": "y"}), FAILS | {"id": "n"}]},
        final=[CLOSE, TWO, step("c", condition="steps.a == 1") | {"else": [LAST]}],
    ),
    "polling": with_finally(
        FIRST, step("b", LIST, input={"start": "x"}, until="false", every="1h", max_rounds=2), final=[CLOSE, TWO, LAST]
    ),
    "concurrent": with_finally(
        {"id": "a", "foreach": [1, 2, 3], "do": [step("i", LIST, input={"start": "${item}!"})]},
        {"id": "b", "branches": {"x": [step("m", LIST, input={"start": "x"})], "y": [FAILS | {"id": "n"}]}},
        final=[CLOSE, {"id": "both", "branches": {"l": [TWO], "r": [LAST | {"with": {**LAST["with"], "value": 1}}]}}],
    ),
}


@cache
def uninterrupted(name: str) -> tuple[World, Finished]:
    """The run in which nothing happens, and its end; only read."""
    return run(DOCUMENTS[name])


def once(world: World) -> None:
    recorded = Counter((entry.path, entry.attempt) for entry in world.journal)
    assert max(recorded.values()) == 1, "no attempt is recorded twice"
    assert max(Counter(world.effects).values()) == 1, "effects are exactly once"


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("crash_at", range(12))
@pytest.mark.parametrize("before", [True, False])
def test_a_crash_at_any_request_changes_nothing(name: str, crash_at: int, before: bool) -> None:
    quiet, wanted = uninterrupted(name)
    world, ending = run(DOCUMENTS[name], crash_at=crash_at, crash_before_answer=before)
    assert (ending.state, ending.output, ending.error) == (wanted.state, wanted.output, wanted.error)
    assert set(world.states()) == set(quiet.states())
    once(world)


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("cancel_at", range(10))
@pytest.mark.parametrize("crash_after", [None, 0, 1, 2, 3, 4] if FULL else [None, 0, 3])
def test_a_cancelled_run_runs_it_and_stays_cancelled(name: str, cancel_at: int, crash_after: int | None) -> None:
    """A run whose main part has ended before stays as it ended."""
    crash_at = None if crash_after is None else cancel_at + crash_after
    world, ending = run(DOCUMENTS[name], cancel_at=cancel_at, crash_at=crash_at)
    once(world)
    assert {"finally.close", "finally.last"} & set(paths(world)) or name == "concurrent"
    recorded = next(entry for entry in world.journal if entry.path == "finally")
    assert orjson.loads(recorded.output)["state"] == ending.state
    assert closed(world)["state"] == ending.state
    after = paths(world)[paths(world).index("finally") :]
    assert all(path.startswith("finally") for path in after), "nothing else runs after it has begun"
    if cancel_at == 0:
        assert ending.state == "CANCELLED"
        assert [call.path for call in world.calls if not call.path.startswith("finally")] == []


def test_a_second_cancel_does_not_cut_it_off() -> None:
    world, ending = run(DOCUMENTS["succeeding"], cancel_at=0)
    assert (ending.state, paths(world)[-1]) == ("CANCELLED", "finally.last")


def test_a_resumed_run_that_is_to_be_cancelled_only_runs_it() -> None:
    """Its outputs are those of the journal; the step that waits is not requested again."""
    world = World(DOCUMENTS["waiting"], params={"p": 1})
    world.segment()
    world.cancelled = True
    ending = world.run()
    assert (ending.state, closed(world)["a"], closed(world)["b"]) == ("CANCELLED", {"events": [1, 2]}, {})
    assert "w" not in paths(world)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_replays_and_simulations_run_it(name: str) -> None:
    world, ending = run(DOCUMENTS[name])
    again = replayed(world)
    assert again.state == ending.state
    answer = simulated(DOCUMENTS[name], mock(tool=LIST, output={"events": [1]}), params={"p": 1})
    assert (answer.state, answer.steps[-1].path.split(".")[0]) == (ending.state, "finally")
    assert ("finally", 1, "SUCCEEDED") in steps_of(answer)
    if name != "concurrent":
        assert [(entry.path, entry.state) for entry in again.steps] == [
            (entry.path, entry.state) for entry in world.journal
        ]
        assert {path for path, *_ in told(again.steps)} == set(paths(world))


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("cancel_at", range(8))
def test_a_replay_of_a_cancelled_run_runs_it(name: str, cancel_at: int) -> None:
    world, ending = run(DOCUMENTS[name], cancel_at=cancel_at)
    again = replayed(world)
    if ending.state == "CANCELLED" and "on_error.note" in paths(world):
        return  # nothing shows that the cancellation came before the end of the handlers
    assert (again.state, told(again.steps)) == (ending.state, told(world.journal))


def test_a_replay_of_a_run_that_was_cancelled_while_it_waited_runs_it() -> None:
    world = World(DOCUMENTS["waiting"], params={"p": 1})
    world._wait(world.segment(), comes=False)  # type: ignore[arg-type]
    world.cancelled = True
    assert world.run().state == "CANCELLED"
    again = replayed(world)
    assert again.state == "CANCELLED"
    assert [entry.path for entry in again.steps] == paths(world)


def test_waits_are_refused_with_repairs() -> None:
    waits = [
        step("t", "orchestrator.wait", input={"for": "1s"}),
        step("e", "orchestrator.wait_event", input={"topic": "t", "timeout": "1s"}),
        step("q", "orchestrator.request_approval", input={"message": "?"}),
        step("c", "orchestrator.run_task", input={"task": "tasks/a", "wait": True}),
        step("p", "orchestrator.run_pipeline", input={"pipeline": [FIRST]}),
        step("n", LIST, input={"start": "x"}, needs_approval=True),
    ]
    nested = {"id": "g", "do": [{"id": "h", "branches": {"x": [step("i", on_error=[waits[0]])]}}]}
    answer = checked(with_finally(FIRST, step("b"), final=[*waits[1:], nested]))
    fields = [problem.field for problem in answer.violations]
    polls = checked(with_finally(FIRST, step("b"), final=[{**FIRST, "id": "c", "until": "true", "every": "1s"}]))
    assert [problem.field for problem in polls.violations] == ["finally[0].until"]
    assert fields == [
        "finally[0].uses", "finally[1].uses", "finally[2].with.wait", "finally[3].uses", "finally[4].needs_approval",
        "finally[5].do[0].branches.x[0].on_error[0].uses",
    ]  # fmt: skip
    assert all("`finally` has 60 s" in problem.message for problem in answer.violations)
    starts = step("c", "orchestrator.run_task", input={"task": "tasks/a"})
    assert not checked(with_finally(FIRST, step("b"), final=[CLOSE, starts])).violations


def test_its_names_are_checked() -> None:
    def problems(value: str, **more: Any) -> list[str]:
        final = step("s", input={"v": f"${{{value}}}"})
        return [
            problem.message for problem in checked(with_finally(FIRST, step("b"), final=[final], **more)).violations
        ]

    assert problems("run.state") == problems("run.error.code") == problems("steps.b") == []
    assert "`run.error`" in problems("error.code")[0]
    assert "steps.nothing" in problems("steps.nothing")[0]
    outside = checked(pipeline(step("s", input={"v": "${run.state}"})))
    assert "only in `finally`" in outside.violations[0].message
    assert "is reserved" in checked(pipeline(step("finally"))).violations[0].message
    assert checked(with_finally(FIRST, step("b"), final=[step("b")])).violations[0].field == "finally[0].id"


@pytest.mark.parametrize(
    ("value", "repaired"), [(90, "90s"), ("0.5s", "1s"), ("400d", "366d"), ("soon", None), (None, None), (True, None)]
)
def test_a_deadline_is_from_a_second_to_366_days(value: Any, repaired: str | None) -> None:
    answer = checked(pipeline(FIRST, deadline=value))
    assert [problem.field for problem in answer.violations] == ["deadline"]
    values = [operation["value"] for operation in answer.violations[0].fix.operations]
    assert values == ([repaired] if repaired else [])
    assert not checked(pipeline(FIRST, deadline="366d")).violations
    assert not checked(pipeline(FIRST, deadline="1s")).violations
