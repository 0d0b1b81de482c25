"""Runs: data, conditions, retries, handlers, limits."""

from typing import Any

import orjson
import pytest

from ordinaut.expressions.semantics import FIRST
from ordinaut.names import idempotency_key
from pipeline_engine.data.failure import TIMEOUT, Failure
from pipeline_engine.interpreter.requests import Call, Effect, Output, Request, Suspended
from pipeline_engine.language.compile import PlanError
from tests.unit.engine.pipelines import pipeline, step
from tests.unit.engine.world import World, error_of, failing

LIST = "calendar.list_events"
INPUT = {"start": "${now}"}


def test_data_flows_through_steps_to_the_output() -> None:
    """Typed templates, `save_as`, `now`, `event`, `run`, `step` and the output."""
    document = pipeline(
        step("a", LIST, input=INPUT, save_as="agenda"),
        step("b", input={"n": "${length(steps.agenda.events)}", "me": "${step.path}", "x": "${event.data.x}"}),
        output={"text": "${steps.b.n} in ${run.name}", "b": "${steps.b}", "p": "${params.p}"},
    )
    world = World(document, params={"p": [True]})
    ending = world.run()
    assert orjson.loads(ending.output) == {
        "text": "2 in runs/r",
        "b": {"n": 2, "me": "b", "x": 1},
        "p": [True],
    }
    assert orjson.loads(world.journal[0].input) == {"start": "2027-01-15T08:00:00Z"}
    assert world.calls[0].idempotency_key == "root/a"


def test_a_run_of_pure_steps_makes_no_request() -> None:
    """It finishes at once, with its entries."""
    world = World(
        pipeline(step("a", input={"x": 1}), step("b", condition="steps.a.x == 2"), step("c", input={"y": "${steps.b}"}))
    )
    ending = world.run()
    assert world.requests == 0
    assert world.states() == [("a", 1, "SUCCEEDED"), ("b", 1, "SKIPPED"), ("c", 1, "SUCCEEDED")]
    assert orjson.loads(ending.entries[2].output) == {"y": None}


def test_a_step_with_effects_waits_for_durable_entries() -> None:
    """There is one commit between two calls; entries of pure steps are part of it."""
    document = pipeline(step("a", LIST, input=INPUT), step("b", input={}), step("c", LIST, input=INPUT))
    world = World(document)
    generator = iter_requests(world)
    assert generator == ["Call", "Commit", "Call"]


def iter_requests(world: World) -> list[str]:
    """Returns the kinds of a run's requests, in order."""
    seen: list[str] = []
    inner = world._serve

    def spy(request: object) -> object:
        seen.append(type(request).__name__)
        return inner(request)  # type: ignore[arg-type]

    world._serve = spy  # type: ignore[method-assign, assignment]
    world.run()
    return seen


def test_failed_attempts_are_retried_with_increasing_delays() -> None:
    """Two retries by default, from one second, doubling; every attempt is recorded."""
    world = World(pipeline(step("a", LIST, input=INPUT)), answer=failing(2))
    assert world.run().state == "SUCCEEDED"
    assert world.slept == [1.0, 2.0]
    assert world.states() == [("a", 1, "FAILED"), ("a", 2, "FAILED"), ("a", 3, "SUCCEEDED")]
    assert {call.idempotency_key for call in world.calls} == {"root/a"}


def test_retries_end() -> None:
    """After the last retry the run fails with the last error."""
    world = World(pipeline(step("a", LIST, input=INPUT)), answer=failing(99))
    error = error_of(world.run())
    assert (error["code"], error["step"], error["attempt"], error["tool"]) == ("TOOL_UNAVAILABLE", "a", 3, LIST)


@pytest.mark.parametrize(
    ("step_retry", "task_retry", "calls"),
    [(0, b"", 1), (1, b'{"max":5}', 2), (None, b'{"max":5,"delay":"0.001s"}', 6), (None, b"{}", 1), (None, b"", 3)],
)
def test_the_retry_of_a_step_precedes_that_of_the_task(step_retry: int | None, task_retry: bytes, calls: int) -> None:
    """Step, then tool, then task, then two retries."""
    retry = {} if step_retry is None else {"retry": step_retry}
    world = World(pipeline(step("a", LIST, input=INPUT, **retry)), answer=failing(99), retry=task_retry)
    world.run()
    assert len(world.calls) == calls


def test_a_long_delay_leaves_the_engine() -> None:
    """Above five seconds the run is delayed with its entries and resumes with the next attempt."""
    world = World(pipeline(step("a", LIST, input=INPUT, retry={"max": 1, "delay": "10m"})), answer=failing(1))
    assert world.run().state == "SUCCEEDED"
    assert world.slept == [600.0]
    assert [call.idempotency_key for call in world.calls] == ["root/a", "root/a"]
    assert world.states() == [("a", 1, "FAILED"), ("a", 2, "SUCCEEDED")]


def test_only_listed_codes_are_retried() -> None:
    """`codes` replaces the default; a refusal by the tool is retried only if it is listed."""
    refused = Failure("TOOL_ERROR", "404")
    world = World(pipeline(step("a", LIST, input=INPUT)), answer=lambda _: refused)
    world.run()
    assert len(world.calls) == 1
    chosen = {"max": 1, "codes": ["TOOL_ERROR"]}
    world = World(pipeline(step("a", LIST, input=INPUT, retry=chosen)), answer=lambda _: refused)
    world.run()
    assert len(world.calls) == 2


def test_input_and_output_are_validated() -> None:
    """After rendering and before saving, with a pointer; neither failure is retried."""
    document = pipeline(step("a", LIST, input={"start": "x", "limit": "${params.n}"}))
    error = error_of(World(document, params={"n": 0}).run())
    assert (error["code"], error["pointer"]) == ("VALIDATION_INPUT", "/limit")
    world = World(pipeline(step("a", LIST, input=INPUT)), answer=lambda _: Output({"nothing": 1}))
    error = error_of(world.run())
    assert (error["code"], len(world.calls)) == ("VALIDATION_OUTPUT", 1)
    assert world.journal[-1].output == b""


def test_a_missing_path_is_an_error_with_a_hint() -> None:
    """The tool is not called with null."""
    world = World(pipeline(step("a", LIST, input={"start": "${params.nix}"})), params={"city": 1})
    error = error_of(world.run())
    assert error["code"] == "EXPRESSION"
    assert "city" in error["message"]
    assert "default(params.nix" in error["message"]
    assert not world.calls


def test_continue_saves_the_error() -> None:
    """Later steps see `{"error": …}`."""
    document = pipeline(step("a", LIST, input=INPUT, on_error="continue", retry=0), output="${steps.a.error.code}")
    assert World(document, answer=failing(9)).run().output == b'"TOOL_UNAVAILABLE"'


def test_a_steps_handler_runs_and_the_run_continues() -> None:
    """With the root name `error` and stable paths; the failed step's output is `{"error": …}`."""
    handler = [step("h", input={"code": "${error.code}"})]
    document = pipeline(
        step("a", LIST, input=INPUT, on_error=handler, retry=0), step("b", input={"x": "${steps.a.error.step}"})
    )
    world = World(document, answer=failing(9))
    assert world.run().state == "SUCCEEDED"
    assert world.states() == [("a", 1, "FAILED"), ("a.on_error.h", 1, "SUCCEEDED"), ("b", 1, "SUCCEEDED")]
    assert orjson.loads(world.journal[-1].output) == {"x": "a"}


def test_the_pipelines_handler_runs_and_the_run_fails_with_the_first_error() -> None:
    """Also when the handler itself fails or stops."""
    for handler in (step("h", input={"e": "${error.message}"}), step("h", "orchestrator.stop")):
        world = World(
            pipeline(step("a", "orchestrator.fail", input={"code": "NO_DATA", "message": "m"}), on_error=[handler])
        )
        assert error_of(world.run())["code"] == "NO_DATA"
        assert world.states()[-1] == ("on_error.h", 1, "SUCCEEDED")
    failing_handler = step("h", "orchestrator.fail", input={"code": "OTHER", "message": "x"})
    document = pipeline(step("a", "orchestrator.fail", input={"code": "A", "message": "m"}), on_error=[failing_handler])
    assert error_of(World(document).run())["code"] == "A"


def test_stop_ends_with_its_output() -> None:
    """The pipeline's own output is not evaluated and later steps do not run."""
    document = pipeline(
        step("a", "orchestrator.stop", input={"output": {"sent": False}}), step("b"), output="${params.missing}"
    )
    world = World(document)
    assert world.run().output == b'{"sent":false}'
    assert world.states() == [("a", 1, "SUCCEEDED")]


def test_effects_are_applied_by_the_worker() -> None:
    """The result is the step's output; a failing effect is data."""
    document = pipeline(
        step("a", "orchestrator.put_state", input={"namespace": "n", "key": "k", "value": 1, "revision": 3}),
        output="${steps.a.revision}",
    )
    assert World(document).run().output == b"1"
    conflict = Failure("TOOL_ERROR", "the revision is 4")
    world = World(document, perform=lambda _: conflict)
    assert error_of(world.run())["message"] == "the revision is 4"
    assert len(world.effects) == 1


def test_the_effects_of_concurrent_steps_are_one_write() -> None:
    """The worker applies them together; each strand continues with its own result."""
    at_once: list[int] = []

    def choose(asked: list[tuple[int, Request]]) -> int:
        at_once.append(sum(isinstance(request, Effect) for _, request in asked))
        return 0

    steps = [
        {
            "id": "each",
            "foreach": [1, 2, 3],
            "max_parallel": 3,
            "do": [
                {"id": "first", "uses": "orchestrator.emit", "with": {"topic": "t", "data": {"n": "${item}"}}},
                {"id": "second", "uses": "orchestrator.emit", "with": {"topic": "u", "data": {"n": "${item}"}}},
            ],
        }
    ]
    world = World({"version": 1, "steps": steps}, choose=choose)
    assert world.run().state == "SUCCEEDED"
    assert at_once == [3, 2, 1, 3, 2, 1]
    assert len(set(world.effects)) == 6


def test_denied_and_unknown_tools_are_not_called() -> None:
    """They are errors of their step."""
    world = World(pipeline(step("a", LIST, input=INPUT)), denied=(LIST,))
    assert error_of(world.run())["code"] == "DENIED"
    error = error_of(World(pipeline(step("a", "no.such"))).run())
    assert (error["code"], error["message"]) == ("TOOL_ERROR", "unknown tool no.such")
    assert not world.calls


def test_timeouts_of_steps_and_runs() -> None:
    """A step's timeout applies to the call; the run's timeout ends the run regardless of `on_error`."""

    def slow(_call: Call) -> Failure:
        return Failure(TIMEOUT, "slow", retryable=True)

    world = World(pipeline(step("a", LIST, input=INPUT, timeout="7s", retry=0)), answer=slow)
    assert error_of(world.run())["code"] == "TIMEOUT"
    assert world.calls[0].timeout == 7.0
    document = pipeline(
        step("a", LIST, input=INPUT, on_error="continue"), on_error=[step("h", LIST, input={"start": "${error.code}"})]
    )
    world = World(document, answer=slow, remaining_ms=5000)
    error = error_of(world.run())
    assert (error["code"], error["message"]) == ("TIMEOUT", "the run has exceeded its timeout")
    assert world.calls[0].timeout == 5.0
    assert world.calls[1].body == b'{"start":"TIMEOUT"}'


def test_the_pipelines_timeout_counts_from_its_first_entry() -> None:
    """Across delays."""
    document = pipeline(step("a", LIST, input=INPUT, retry={"max": 9, "delay": "6s"}), timeout="20s")
    world = World(document, answer=failing(99))
    assert error_of(world.run())["code"] == "TIMEOUT"
    assert sum(world.slept) == pytest.approx(20.0)


def test_idempotency_keys_have_a_maximum_length() -> None:
    """A long key keeps its beginning and gets a digest; it is stable."""
    key = idempotency_key("r" * 300, "a")
    assert len(key) == 254
    assert key == idempotency_key("r" * 300, "a") != idempotency_key("r" * 300, "b")
    assert idempotency_key("r", "a") == "r/a"


def test_huge_values_fail_only_their_step() -> None:
    """A large value that is inserted many times fails before it is built."""
    big = "x" * 400_000
    document = pipeline(step("a", input={f"k{number}": "${params.big}" for number in range(500)}, on_error="continue"))
    world = World(document, params={"big": big})
    assert world.run().state == "SUCCEEDED"
    assert orjson.loads(world.journal[0].error)["code"] == "PAYLOAD_TOO_LARGE"


def test_large_entries_of_pure_steps_are_committed_early() -> None:
    """The last message is small for every pipeline."""
    document = pipeline(*[step(f"s{number}", input={"x": "${params.big}"}) for number in range(10)])
    world = World(document, params={"big": "x" * 200_000})
    ending = world.run()
    assert sum(len(entry.input) for entry in ending.entries) < 1_000_000
    assert len(world.journal) == 10


@pytest.mark.parametrize("name", ["\\ud800", "\\u0000"])
def test_errors_can_always_be_stored(name: str) -> None:
    """Even if they quote unusual characters."""
    for text in (f'${{params."{name}"}}', f'${{`"{name}"`}}', f'x${{`"{name}"`}}'):
        ending = World(pipeline(step("a", input={"x": text}))).run()
        assert error_of(ending)["code"] == "EXPRESSION"
        assert b"\\u0000" not in ending.error


def test_the_outputs_of_a_run_are_limited_together() -> None:
    """In one segment and after a crash; the output that exceeds the limit fails its step."""
    text = "x" * 400
    steps = [step(name, input={"text": text}) for name in ("a", "b")]
    steps += [step("e", LIST, input={"start": "x"}), step("c", input={"text": text}, on_error="continue")]
    steps += [step("f", input={"code": "${steps.c.error.code}"}), step("d", input={"text": text})]
    for crash_at in (None, 1):
        world = World(pipeline(*steps), outputs_max_bytes=1000, crash_at=crash_at)
        assert error_of(world.run())["code"] == "PAYLOAD_TOO_LARGE"
        assert [(path, state) for path, _, state in world.states()] == [
            ("a", "SUCCEEDED"), ("b", "SUCCEEDED"), ("e", "SUCCEEDED"), ("c", "FAILED"), ("f", "SUCCEEDED"),
            ("d", "FAILED"),
        ]  # fmt: skip


def test_outputs_of_calls_effects_and_loops_count() -> None:
    large = {"text": "x" * 400}
    called = World(
        pipeline(step("a", LIST, input={"start": "x"})), outputs_max_bytes=300, answer=lambda _: Output(large)
    )
    assert error_of(called.run())["step"] == "a"
    acts = [step(name, "orchestrator.get_state", input={"namespace": "n", "key": "k"}) for name in ("a", "b")]
    performed = World(pipeline(*acts), outputs_max_bytes=300, perform=lambda _: large)
    assert error_of(performed.run())["step"] == "b"
    joined = World(
        pipeline({"id": "l", "foreach": [1, 2], "uses": "orchestrator.set", "with": large}), outputs_max_bytes=1000
    )
    assert (error_of(joined.run())["step"], error_of(joined.run())["code"]) == ("l", "PAYLOAD_TOO_LARGE")


OLD_FORMS: list[dict[str, Any]] = [
    step("a", **{"if": "'${params.n}' != 'x'"}, input={"x": "${params.none}!"}),
    step("b", **{"if": "params.n > params.text"}),
    step("c", **{"if": "params.n != params.text"}, input={"list": "${params.list[?@ == '1']}"}),
]


def test_a_run_keeps_the_semantics_of_its_definition() -> None:
    """A pipeline that an earlier release accepted runs as before: different types are unequal, null is text."""
    params = {"n": 5, "text": "7", "none": None, "list": [1, "1"]}
    world = World(pipeline(*OLD_FORMS, output="${steps}"), params=params, semantics=FIRST)
    ending = world.run()
    assert orjson.loads(ending.output) == {"a": {"x": "null!"}, "b": None, "c": {"list": ["1"]}}
    for form in OLD_FORMS[1:]:
        assert error_of(World(pipeline(form), params=params).run())["code"] == "EXPRESSION"
    with pytest.raises(PlanError, match="placeholder"):
        World(pipeline(OLD_FORMS[0])).run()


def test_a_wait_of_the_first_revision_renders_its_match() -> None:
    """The text of the value is a part of the expression, as it was accepted."""
    given = {"topic": "a", "timeout": "1h", "match": "data.n == '${params.n}'"}
    world = World(pipeline(step("a", "orchestrator.wait_event", input=given)), params={"n": "x"}, semantics=FIRST)
    ending = world.segment()
    assert isinstance(ending, Suspended)
    assert orjson.loads(ending.waits[0].match) == "data.n == 'x'"
