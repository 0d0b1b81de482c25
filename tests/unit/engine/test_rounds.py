"""`until`: a step is repeated, with a wait of `every` between two rounds, until an expression on its result holds."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Finished, Output, Suspended
from tests.unit.engine.pipelines import checked, pipeline, step
from tests.unit.engine.simulated import mock, simulated, steps_of
from tests.unit.engine.world import World, error_of

WEATHER = "weather.forecast"
DONE = "steps.job.status == 'done'"


def job(**more: Any) -> dict[str, Any]:
    """Returns a step that asks for the status of a job every ten seconds."""
    values: dict[str, Any] = {"input": {"city": "${params.city}"}, "until": DONE, "every": "10s", **more}
    return step("job", WEATHER, **{key: value for key, value in values.items() if value is not None})


def after(rounds: int) -> Callable[[Call], Output | Failure]:
    """Returns a tool that is done in a round; `n` numbers its answers."""
    calls = [0]

    def answer(_call: Call) -> Output:
        calls[0] += 1
        return Output({"status": "done" if calls[0] >= rounds else "running", "n": calls[0]})

    return answer


def world_of(*steps: dict[str, Any], rounds: int = 3, output: Any = None, **more: Any) -> World:
    """Returns a valid run whose tool is done in a round."""
    document = pipeline(*steps, **({} if output is None else {"output": output}))
    answer = checked(document, params={"city": "B"})
    assert not answer.violations, answer.violations
    return World(document, **{"answer": after(rounds), "params": {"city": "B"}, **more})


def retried(world: World, **more: Any) -> World:
    """Returns the retry of a run, with the entries that RetryRun copies."""
    kept = [e for e in world.journal if e.state in {"SUCCEEDED", "SKIPPED"} and ".on_error." not in e.path]
    return World(world.document, **{"answer": world.answer, "params": world.params, "journal": kept, **more})


def calls_of(world: World) -> list[str]:
    return [call.idempotency_key.removeprefix("root/") for call in world.calls]


def test_rounds_until_the_expression_holds() -> None:
    """Each round has a path and a key; the output is that of the last round; the waits release the engine."""
    world = world_of(job(save_as="s"), output=["${steps.job.n}", "${steps.s.n}"])
    assert world.run().output == b"[3,3]"
    assert calls_of(world) == ["job[0]", "job[1]", "job[2]"]
    assert world.stays == [["job.every[0]"], ["job.every[1]"]]
    assert [path for path, _, _ in world.states()] == [
        *("job[0]", "job.every[0]", "job[1]", "job.every[1]", "job[2]", "job")
    ]


def test_one_round_if_it_holds_at_once() -> None:
    world = world_of(job(), rounds=1)
    assert world.run().state == "SUCCEEDED"
    assert world.states() == [("job[0]", 1, "SUCCEEDED"), ("job", 1, "SUCCEEDED")]


def test_the_wait_is_an_ordinary_wait() -> None:
    ending = world_of(job(every="1m30s")).segment()
    assert isinstance(ending, Suspended)
    (wait,) = ending.waits
    assert (wait.path, wait.kind, wait.tool, wait.deadline_ms) == ("job.every[0]", "TIMER", "orchestrator.wait", 90_000)
    assert orjson.loads(wait.input) == {"for": "90s"}


@pytest.mark.parametrize(("bounds", "rounds"), [({}, 100), ({"max_rounds": 2}, 2), ({"max_rounds": 1}, 1)])
def test_the_number_of_rounds_is_bounded(bounds: dict[str, Any], rounds: int) -> None:
    """100 by default; there is no wait after the last one."""
    world = world_of(job(**bounds), rounds=1000)
    error = error_of(world.run())
    assert (error["code"], error["step"], error["tool"]) == ("TIMEOUT", "job", WEATHER)
    assert error["message"] == f"`until` was not true after {rounds} rounds"
    assert error["details"] == {"limit": "max_rounds", "rounds": rounds, "output": {"status": "running", "n": rounds}}
    assert len(world.calls) == rounds
    assert len(world.stays) == rounds - 1


def test_the_timeout_bounds_rounds_and_waits_together() -> None:
    """The last wait is shortened: the last round is made when the time is over."""
    world = world_of(job(timeout="25s"), rounds=1000)
    error = error_of(world.run())
    assert (error["code"], error["message"]) == ("TIMEOUT", "`until` was not true within 25s, after 4 rounds")
    assert error["details"]["limit"] == "timeout"
    assert world.waited_ms == 25_000


def test_slow_calls_count_for_the_timeout() -> None:
    def slow(_call: Call) -> Output:
        world.clock.seconds += 20
        return Output({"status": "running"})

    world = world_of(job(timeout="30s"), answer=slow)
    assert error_of(world.run())["details"]["rounds"] == 2
    assert world.waited_ms == 10_000


def test_a_large_last_output_is_not_part_of_the_error() -> None:
    world = world_of(job(max_rounds=1), answer=lambda _: Output({"status": "x" * 5000}))
    assert error_of(world.run())["details"] == {"limit": "max_rounds", "rounds": 1}


def test_on_error_applies_to_all_rounds_together() -> None:
    world = world_of(job(max_rounds=2, on_error="continue"), rounds=9, output="${steps.job.error.details.output.n}")
    assert world.run().output == b"2"
    handler = step("h", input={"rounds": "${error.details.rounds}"})
    world = world_of(job(max_rounds=2, on_error=[handler]), rounds=9)
    assert world.run().state == "SUCCEEDED"
    assert world.states()[-1] == ("job.on_error.h", 1, "SUCCEEDED")


def test_a_call_in_a_round_is_retried_and_its_last_failure_ends_the_loop() -> None:
    failures = [1]

    def flaky(_call: Call) -> Output | Failure:
        failures[0] += 1
        return Failure("TOOL_UNAVAILABLE", "no", retryable=True) if failures[0] % 2 == 0 else Output({"status": "x"})

    world = world_of(job(max_rounds=2, retry={"max": 1, "delay": "1s"}), answer=flaky)
    assert error_of(world.run())["code"] == "TIMEOUT"
    assert [(path, number) for path, number, _ in world.states() if "[0]" in path] == [
        *(("job[0]", 1), ("job[0]", 2), ("job.every[0]", 1))
    ]
    broken = world_of(job(), answer=lambda _: Failure("TOOL_ERROR", "gone"))
    error = error_of(broken.run())
    assert (error["code"], error["step"]) == ("TOOL_ERROR", "job[0]")


def test_a_round_may_tolerate_its_failures() -> None:
    """Inside `do`; the expression sees the error."""
    inner = step("ask", WEATHER, input={"city": "B"}, retry=0, on_error="continue")
    loop = {"id": "job", "do": [inner], "until": "!(steps.ask.error)", "every": "1s"}
    answers: list[Output | Failure] = [Failure("TOOL_ERROR", "no"), Output({"n": 2})]
    world = world_of(loop, output="${steps.job.n}", answer=lambda _: answers.pop(0))
    assert world.run().output == b"2"


def test_a_round_sees_the_output_of_the_round_before() -> None:
    """Null in the first round: a loop can follow the cursor of pages."""
    page = step("page", input={"cursor": "${add(default(steps.page.cursor, to_number('0')), to_number('1'))}"})
    world = world_of({**page, "until": "steps.page.cursor >= 3", "every": "1s"}, output="${steps.page}")
    assert world.run().output == b'{"cursor":3}'


def test_names_inside_are_those_of_the_round() -> None:
    """They are not visible in the next round, and not after the loop."""
    body = [
        step("n", input={"n": "${add(default(steps.job.n, to_number('0')), to_number('1'))}"}),
        step("last", input="${steps.n}"),
    ]
    loop = {"id": "job", "do": body, "until": "steps.n.n == 2", "every": "1s"}
    assert world_of(loop, output="${steps.job.n}").run().output == b"2"
    (violation,) = checked(pipeline(loop, output="${steps.n}")).violations
    assert violation.message.startswith("`steps.n` is visible only inside `job`")
    early = {**loop, "do": [step("m", input={"x": "${steps.n}"}), *body]}
    assert "has not run yet" in checked(pipeline(early)).violations[0].message


def test_of_branches_and_in_a_loop() -> None:
    branches = {"l": [step("a", WEATHER, input={"city": "B"})], "r": [step("b", input={"x": 1})]}
    world = world_of({"id": "job", "branches": branches, "until": "steps.job.l.n == 2", "every": "1s"}, rounds=9)
    assert world.run().state == "SUCCEEDED"
    assert calls_of(world) == ["job[0].l.a", "job[1].l.a"]
    seen: dict[str, int] = {}

    def answer(call: Call) -> Output:
        city = call.input["city"]
        seen[city] = seen.get(city, 0) + 1
        return Output({"status": "done" if seen[city] > len(city) else "running", "city": city})

    loop = job(
        foreach=["A", "BB"], input={"city": "${item}"}, until="steps.job.status == 'done' && item == steps.job.city"
    )
    world = world_of(loop, output="${steps.job[*].city}", answer=answer)
    assert world.run().output == b'["A","BB"]'
    assert calls_of(world) == ["job[0][0]", "job[1][0]", "job[0][1]", "job[1][1]", "job[1][2]"]
    assert world.stays == [["job[0].every[0]", "job[1].every[0]"], ["job[1].every[0]"], ["job[1].every[1]"]]


def test_rounds_that_wait() -> None:
    """For a time, an event, an answer or a child run; each round asks again."""
    for uses, arguments in (
        ("orchestrator.wait", {"for": "1h"}),
        ("orchestrator.wait_event", {"topic": "t", "timeout": "7d"}),
        ("orchestrator.request_approval", {"message": "?", "expires_in": "1d"}),
        ("orchestrator.run_task", {"task": "tasks/x", "wait": True, "params": {"n": 1}}),
    ):
        loop = step(
            "job", uses, input=arguments, until="steps.job.never", every="1s", max_rounds=2, on_error="continue"
        )
        world = world_of(loop)
        assert world.run().state == "SUCCEEDED"
        assert world.stays == [["job[0]"], ["job.every[0]"], ["job[1]"]]


def test_an_approval_before_a_step_is_asked_for_in_each_round() -> None:
    world = world_of(job(needs_approval={"expires_in": "1d"}), rounds=2)
    assert world.run().state == "SUCCEEDED"
    assert world.stays == [["job[0].approval"], ["job.every[0]"], ["job[1].approval"]]


def test_a_stop_inside_ends_the_run() -> None:
    stop = step("stop", "orchestrator.stop", input={"output": 7}, condition="steps.job.n == 1")
    body = [stop, step("n", input={"n": "${add(default(steps.job.n, to_number('0')), to_number('1'))}"})]
    loop = {"id": "job", "do": body, "until": "steps.n.n == 9", "every": "1s"}
    assert world_of(loop).run().output == b"7"


def test_the_condition_of_the_step_is_that_of_the_loop() -> None:
    other = [step("other", input={"n": 0})]
    assert world_of({**job(condition="params.none"), "else": other}, output="${steps.job.n}").run().output == b"0"


def test_a_decision_is_kept_although_now_changes() -> None:
    """In the resumed run the first round would be enough."""
    world = world_of(job(until="now > '2027-01-15T08:00:05Z'"), rounds=9, output="${steps.job.n}")
    assert world.run().output == b"2"


def test_an_expression_that_cannot_be_evaluated_fails_the_loop() -> None:
    world = world_of(job(until="steps.job.n > 'x'"))
    error = error_of(world.run())
    assert (error["code"], error["step"]) == ("EXPRESSION", "job")
    assert len(world.calls) == 1


def test_the_timeout_of_the_run_ends_the_loop() -> None:
    """Waiting does not count; the calls do."""

    def slow(_call: Call) -> Output:
        world.clock.seconds += 4
        world.remaining_ms = max(1, world.remaining_ms - 4000)
        return Output({"status": "running"})

    world = world_of(job(), answer=slow, remaining_ms=10_000)
    assert error_of(world.run())["message"] == "the run has exceeded its timeout"
    assert len(world.calls) == 3


def test_events_end_one_wait_of_all_rounds() -> None:
    """Also for a wait after the loop."""
    event = {"topic": "t", "timeout": "7d"}
    loop = step("job", "orchestrator.wait_event", input=event, until="steps.job.position == 2", every="1s")
    world = world_of(loop, step("e", "orchestrator.wait_event", input=event))
    positions = iter((1, 2, 3))
    taken = []
    while isinstance(ending := world.segment(), Suspended):
        taken += [list(wait.taken_positions) for wait in ending.waits if wait.kind == "EVENT"]
        world._result = lambda path, _: {"position": next(positions)} if "every" not in path else {}  # type: ignore[method-assign, assignment]
        world._wait(ending)
    assert taken == [[], [1], [1, 2]]


def test_a_retry_of_the_run_continues_with_new_rounds_and_a_new_bound() -> None:
    """Rounds keep their keys, so an IDEMPOTENT tool would repeat its answer: a retry makes further rounds."""
    world = world_of(job(max_rounds=2), rounds=4)
    assert error_of(world.run())["details"]["rounds"] == 2
    again = retried(world)
    assert again.run().state == "SUCCEEDED"
    assert calls_of(again) == ["job[2]", "job[3]"]
    world = world_of(job(max_rounds=2), rounds=7)
    world.run()
    second = retried(world)
    assert error_of(second.run())["details"]["rounds"] == 2
    third = retried(second)
    assert error_of(third.run())["details"]["rounds"] == 2
    assert calls_of(third) == ["job[4]", "job[5]"]


def test_a_retry_has_the_whole_timeout_again() -> None:
    world = world_of(job(timeout="15s"), rounds=5)
    assert error_of(world.run())["details"]["rounds"] == 3
    again = retried(world)
    again.clock.seconds += 86_400
    assert again.run().state == "SUCCEEDED"
    assert calls_of(again) == ["job[3]", "job[4]"]
    third = retried(again)  # nothing is left to do
    assert third.run().state == "SUCCEEDED"
    assert not third.calls


def test_a_retry_of_a_cancelled_run_makes_the_remaining_rounds() -> None:
    """The wait that was cancelled is made again."""
    world = world_of(job(max_rounds=4), rounds=9)
    for _ in range(2):
        ending = world.segment()
        assert isinstance(ending, Suspended)
        world._wait(ending)
    world.waits.clear()
    again = retried(world)
    assert error_of(again.run())["details"]["rounds"] == 4
    assert again.stays == [["job.every[1]"], ["job.every[2]"]]
    assert calls_of(again) == ["job[2]", "job[3]"]


def test_a_retry_repeats_the_round_that_failed() -> None:
    """With its key; each time the loop fails in the same round."""
    answers: list[Any] = [Output({"status": "x"}), *[Failure("TOOL_ERROR", "no")] * 3, Output({"status": "done"})]
    world = world_of(job(timeout="1m", retry=0), answer=lambda _: answers.pop(0))
    assert error_of(world.run())["step"] == "job[1]"
    for _ in range(2):
        world = retried(world)
        assert error_of(world.run())["step"] == "job[1]"
    world = retried(world)
    assert world.run().state == "SUCCEEDED"
    assert calls_of(world) == ["job[1]"]
    counted = [(entry.path, entry.attempt) for entry in world.journal]
    assert len(set(counted)) == len(counted), "no attempt is recorded twice"


def test_rounds_count_as_iterations_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """With those of the loop around them, also after a resume."""
    monkeypatch.setattr("pipeline_engine.interpreter.flow.rounds.MAX_ITERATIONS", 7)
    world = world_of(job(foreach=[1, 2], max_parallel=1, on_error="continue"), rounds=9)
    error = orjson.loads(next(entry.output for entry in reversed(world.run().entries) if entry.path == "job"))[0][
        "error"
    ]
    assert error["code"] == "FAN_OUT_LIMIT"
    assert error["message"] == "the loops of a run must have at most 7 iterations together (got 8)"
    assert calls_of(world) == [f"job[0][{number}]" for number in range(5)]


def test_simulation_shows_each_round() -> None:
    """With mocks for single rounds; the waits take no time."""
    answer = simulated(
        pipeline(job(), output="${steps.job.status}"),
        mock("job[*]", output={"status": "running"}, times=2),
        mock("job[2]", output={"status": "done"}),
        params={"city": "B"},
    )
    assert (answer.state, answer.output) == ("SUCCEEDED", b'"done"')
    assert [path for path, _, _ in steps_of(answer)] == [
        *("job[0]", "job.every[0]", "job[1]", "job.every[1]", "job[2]", "job")
    ]
    assert answer.end_us - answer.steps[0].start_us == 20_000_000


def test_a_finished_loop_is_not_visited_again() -> None:
    """A run that resumes after it has its output."""
    world = world_of(job(), step("nap", "orchestrator.wait", input={"for": "1h"}), output="${steps.job.n}")
    ending = world.run()
    assert isinstance(ending, Finished)
    assert ending.output == b"3"
    assert len(world.calls) == 3


NEAR_MISSES: list[tuple[dict[str, Any], str, str, str | None]] = [
    ({"until": DONE}, "every", "a step with `until` must have `every`", "10s"),
    ({"until": DONE, "interval": "5s"}, "interval", "did you mean `every`?", "every"),
    ({"until": DONE, "every": 5}, "every", "a duration must have a unit", "5s"),
    ({"until": DONE, "every": "soon"}, "every", "must be a duration", None),
    ({"until": DONE, "every": "0s"}, "every", "greater than 0", None),
    ({"until": DONE, "every": "50ms"}, "every", "`every` must be at least 0.1s", None),
    ({"until": DONE, "every": "8d"}, "every", "at most 604800s", None),
    ({"until": DONE, "every": "${params.x}"}, "every", "must be a duration", None),
    ({"until": DONE, "every": "5s", "max_rounds": 0}, "max_rounds", "must be an integer from 1 to 1000", None),
    ({"until": DONE, "every": "5s", "max_rounds": 1001}, "max_rounds", "must be an integer from 1 to 1000", None),
    ({"until": DONE, "every": "5s", "max_rounds": "9"}, "max_rounds", "must be an integer from 1 to 1000", "9"),
    ({"until": DONE, "every": "5s", "max_attempts": 9}, "max_attempts", "`max_rounds` counts all rounds", None),
    ({"until": DONE, "every": "1m", "timeout": "5s"}, "timeout", "bounds all rounds together", None),
    ({"until": DONE, "every": "1s", "timeout": "1d"}, "every", "must be at least 87s", "87s"),
    ({"until": DONE, "every": "1d", "timeout": "31d"}, "timeout", "at most 2592000s", None),
    ({"until": "", "every": "5s"}, "until", "must be an expression", None),
    ({"until": True, "every": "5s"}, "until", "must be an expression as a string (got true)", None),
    ({"until": None, "every": "5s"}, "until", "must be an expression as a string (got null)", None),
    ({"until": 'steps.job.s == "x"', "every": "5s"}, "until", "'x'", "'x'"),
    ({"until": "steps.jop.s == 'x'", "every": "5s"}, "until", "did you mean `steps.job`?", "steps.job"),
    ({"until": "status == 'x'", "every": "5s"}, "until", "unknown root name `status`", None),
    ({"every": "5s"}, "every", "`every` applies only to a step with `until`", None),
    ({"max_rounds": 5}, "max_rounds", "`max_rounds` applies only to a step with `until`", None),
    ({"while": "steps.job.s != 'x'", "every": "5s"}, "while", "`until`, which ends it", None),
    ({"while": "${steps.job.busy}", "every": "5s"}, "while", "`until`, which ends it", None),
    ({"while": True, "every": "5s"}, "while", "`until`, which ends it", None),
    ({"repeat": 5}, "repeat", "write `until: <expression>` with `every: <duration>`", None),
    ({"repeat_until": DONE, "every": "5s"}, "repeat_until", "did you mean `until`?", "until"),
]


@pytest.mark.parametrize(("keys", "field", "message", "fixed"), NEAR_MISSES)
def test_near_misses_are_rejected(keys: dict[str, Any], field: str, message: str, fixed: str | None) -> None:
    """With the key or value that is meant, if it is certain."""
    violations = {v.field.removeprefix("steps[0]."): v for v in checked(pipeline({**step("job"), **keys})).violations}
    assert message in violations[field].message
    assert violations[field].HasField("fix") is (fixed is not None)
    assert (fixed or "") in str(violations[field].fix).replace("\\'", "'")


def test_all_problems_of_a_loop_are_reported_at_once() -> None:
    keys: dict[str, Any] = {"until": "steps.jop.ok", "max_rounds": 0, "retry": "x"}
    fields = [violation.field for violation in checked(pipeline(step("job", **keys))).violations]
    assert sorted(fields) == [f"steps[0].{key}" for key in ("every", "max_rounds", "retry", "until")]


def test_a_loop_that_does_not_read_its_result_is_a_warning() -> None:
    (warning,) = checked(pipeline(step("job", until="params.x", every="5s")), params={"x": 1}).warnings
    assert warning == "steps[0].until: `until` does not read the result of the rounds, as in steps.job.status == 'done'"
    assert not checked(pipeline(step("job", until="now > '2027-01-01T00:00:00Z'", every="5s"))).warnings


def test_the_normalised_document_is_valid_again() -> None:
    """Bounds that are not set are not written."""
    for more in ({}, {"max_rounds": 5}, {"timeout": "1h"}, {"timeout": "10d", "every": "1h"}):
        normal = checked(pipeline(job(**more)), params={"city": "B"}).pipeline
        written = orjson.loads(normal)["steps"][0]
        assert {"until", "every"} <= set(written)
        assert ("max_rounds" in written, "timeout" in written) == ("max_rounds" in more, "timeout" in more)
        assert checked(normal, params={"city": "B"}).pipeline == normal
