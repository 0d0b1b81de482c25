"""A run that waits leaves the engine and resumes from its journal."""

from typing import Any

import pytest

from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Finished, Output, Suspended
from tests.unit.engine.pipelines import checked, pipeline, step
from tests.unit.engine.world import NOW_US, World, error_of, failing

LIST = "calendar.list_events"
HOUR = {"for": "1h"}
EVENT = {"topic": "order.*", "timeout": "7d"}
MINUTE_MS = 60_000


def pause(name: str, **modifiers: Any) -> dict[str, Any]:
    return step(name, "orchestrator.wait", **{"input": HOUR, **modifiers})


def suspended(world: World) -> Suspended:
    ending = world.segment()
    assert isinstance(ending, Suspended)
    return ending


def branches(**lists: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "both", "branches": lists}


def test_a_wait_ends_the_segment_with_all_entries() -> None:
    """No commit precedes it: the entries are part of the suspension."""
    world = World(pipeline(step("a", LIST, input={"start": "x"}), pause("b"), step("c")))
    ending = suspended(world)
    assert [(wait.path, wait.kind, wait.deadline_ms) for wait in ending.waits] == [("b", "TIMER", 60 * MINUTE_MS)]
    assert [entry.path for entry in ending.entries] == ["a"]
    assert ending.wake_ms == 0
    assert world.requests == 1, "the call only"


def test_a_run_resumes_after_the_wait_with_a_new_now() -> None:
    seen: list[str] = []

    def answer(call: Call) -> Output:
        seen.append(call.input["start"])
        return Output({"events": []})

    steps = [step("a", LIST, input={"start": "${now}"}), pause("b"), step("c", LIST, input={"start": "${now}"})]
    world = World(pipeline(*steps, output="${steps.b.until}"), answer=answer)
    ending = world.run()
    assert (ending.state, ending.output) == ("SUCCEEDED", b'"2027-01-15T09:00:00Z"')
    assert seen == ["2027-01-15T08:00:00Z", "2027-01-15T09:00:00Z"]
    assert world.states() == [("a", 1, "SUCCEEDED"), ("b", 1, "SUCCEEDED"), ("c", 1, "SUCCEEDED")]


def test_until_is_a_time_of_the_database_clock() -> None:
    ending = suspended(World(pipeline(pause("a", input={"until": "2027-01-15T09:00:00+01:00"}))))
    assert ending.waits[0].deadline_us == NOW_US
    assert not ending.waits[0].HasField("deadline_ms")


def test_events_count_since_the_run_was_created_or_from_since() -> None:
    """Without `since` the store knows the first position that counts."""
    early = {**EVENT, "since": "${minus_time(now, '1h')}", "match": {"data.order": "${params.order}"}}
    first = {**EVENT, "since": "1970-01-01T00:00:00Z"}
    steps = branches(
        x=[step("a", "orchestrator.wait_event", input=EVENT)],
        y=[step("b", "orchestrator.wait_event", input=early)],
        z=[step("c", "orchestrator.wait_event", input=first)],
    )
    one, other, epoch = suspended(World(pipeline(steps), params={"order": "o'1"})).waits
    assert (one.kind, one.topic, one.match) == ("EVENT", "order.*", b"")
    assert not one.HasField("since_us")
    assert other.since_us == NOW_US - 3_600_000_000
    assert other.match == b'{"data.order":"o\'1"}'
    assert (epoch.HasField("since_us"), epoch.since_us) == (True, 0)


def test_branches_wait_together_and_resume_separately() -> None:
    left, right = [pause("a"), pause("b")], [pause("c"), step("d", LIST, input={"start": "x"})]
    world = World(pipeline(branches(left=left, right=right)))
    assert world.run().state == "SUCCEEDED"
    a, b, c = "both.left.a", "both.left.b", "both.right.c"
    assert world.stays == [[a, c], [b, c], [b]]
    assert [call.idempotency_key for call in world.calls] == ["root/both.right.d"]


def test_an_open_wait_is_not_rendered_again() -> None:
    world = World(pipeline(branches(left=[pause("a")], right=[pause("b", input={"until": "${now+2h}"})])))
    first = suspended(world)
    world._wait(first)
    again = suspended(world)
    assert [(wait.path, wait.kind) for wait in again.waits] == [("both.right.b", "")]


def test_max_parallel_limits_waiting_iterations() -> None:
    world = World(pipeline({"id": "l", "foreach": [1, 2, 3], "max_parallel": 2, "do": [pause("a")]}))
    assert world.run().state == "SUCCEEDED"
    assert world.stays == [["l[0].a", "l[1].a"], ["l[1].a", "l[2].a"], ["l[2].a"]]


def test_a_working_branch_keeps_the_run_and_the_deadline_stays() -> None:
    def slow(_call: Call) -> Output:
        world.clock.seconds += 600
        return Output({"events": []})

    work = [step("b", LIST, input={"start": "x"}), step("c", LIST, input={"start": "x"})]
    world = World(pipeline(branches(left=[pause("a")], right=work)), answer=slow)
    assert [wait.deadline_ms for wait in suspended(world).waits] == [40 * MINUTE_MS]
    assert len(world.calls) == 2


def test_a_long_delay_next_to_a_wait_wakes_the_run() -> None:
    retry = {"max": 1, "delay": "10m", "jitter": 0}
    work = [step("b", LIST, input={"start": "x"}, retry=retry)]
    world = World(pipeline(branches(left=[pause("a")], right=work)), answer=failing(1))
    assert suspended(world).wake_ms == 10 * MINUTE_MS


def test_a_short_delay_next_to_a_wait_keeps_the_run() -> None:
    retry = {"max": 1, "delay": "4s", "jitter": 0}
    work = [step("b", LIST, input={"start": "x"}, retry=retry)]
    world = World(pipeline(branches(left=[pause("a")], right=work)), answer=failing(1))
    assert suspended(world).wake_ms == 0
    assert world.slept == [4.0]


def test_conditions_of_started_blocks_are_not_evaluated_again() -> None:
    """`now` differs after the wait."""
    morning = "now < '2027-01-15T08:30:00Z'"
    body = [pause("a", condition=morning), step("b", LIST, input={"start": "x"})]
    world = World(pipeline({"id": "block", "if": morning, "do": body}, step("late", LIST, condition=morning)))
    assert world.run().state == "SUCCEEDED"
    assert world.states() == [("block.a", 1, "SUCCEEDED"), ("block.b", 1, "SUCCEEDED"), ("late", 1, "SKIPPED")]


def test_a_loop_continues_with_its_first_list() -> None:
    """`now` differs after the wait, and so would the list."""
    loop = {
        "id": "l", "foreach": ["${now}", "${plus_time(now, '1h')}"], "max_parallel": 1,
        "do": [pause("p"), step("s", "orchestrator.set", input={"at": "${item}"})],
    }  # fmt: skip
    steady = {"id": "k", "foreach": [1], "do": [pause("q")]}
    world = World(pipeline(loop, steady, output="${steps.l[*].at}"))
    assert world.run().output == b'["2027-01-15T08:00:00Z","2027-01-15T09:00:00Z"]'
    assert [path for path, _, _ in world.states()] == [
        "l.foreach", "l[0].p", "l[0].s", "l[1].p", "l[1].s", "l", "k[0].q", "k",
    ]  # fmt: skip


def test_a_failed_wait_is_handled_by_on_error() -> None:
    document = pipeline(step("a", "orchestrator.wait_event", input=EVENT, on_error="continue"), output="${steps.a}")
    world = World(document)
    world._wait(suspended(world))
    entry = world.waits["a"]
    entry.state, entry.output = "FAILED", b""
    entry.error = Failure("TIMEOUT", "none came", step="a", tool="orchestrator.wait_event", attempt=1).to_json()
    ending = world.segment()
    assert isinstance(ending, Finished)
    assert b'"code":"TIMEOUT"' in ending.output
    assert world.states() == [("a", 1, "FAILED")]


def test_a_failure_cancels_the_waits_of_the_siblings() -> None:
    work = [step("b", "orchestrator.fail", input={"code": "NO", "message": "m"})]
    handler = [pause("h", input={"for": "1m"})]
    document = pipeline({**branches(left=[pause("a")], right=work), "on_error": handler}, step("c"))
    world = World(document)
    assert world.run().state == "SUCCEEDED"
    assert world.stays == [["both.on_error.h"]]


@pytest.mark.parametrize(
    ("uses", "given", "code"),
    [
        ("orchestrator.wait", {"for": "${params.x}"}, "VALIDATION_INPUT"),
        ("orchestrator.wait", {"for": "${params.p}"}, "VALIDATION_INPUT"),
        ("orchestrator.wait", {"until": "${params.never}"}, "VALIDATION_INPUT"),
        ("orchestrator.wait_event", {**EVENT, "topic": "${params.x}"}, "VALIDATION_INPUT"),
        ("orchestrator.wait_event", {**EVENT, "match": "${params.open}"}, "EXPRESSION"),
        ("orchestrator.wait_event", {**EVENT, "since": "${params.x}"}, "VALIDATION_INPUT"),
    ],
)
def test_an_invalid_wait_fails_at_once(uses: str, given: dict[str, Any], code: str) -> None:
    params = {"x": "a..b", "p": "P", "never": "2027-02-30T00:00:00Z", "open": "data.("}
    ending = World(pipeline(step("a", uses, input=given)), params=params).run()
    assert error_of(ending)["code"] == code


def test_waiting_does_not_count_for_timeouts() -> None:
    """Neither for the run's timeout nor for the pipeline's."""
    world = World(
        pipeline(step("x", LIST, input={"start": "x"}), pause("a"), step("b", LIST, input={"start": "x"}), timeout="1m")
    )
    assert world.run().state == "SUCCEEDED"


@pytest.mark.parametrize(("key", "value"), [("timeout", "5m"), ("retry", 3)])
def test_modifiers_of_calls_are_rejected_on_waits(key: str, value: Any) -> None:
    answer = checked(pipeline(pause("a", **{key: value})))
    assert [violation.field for violation in answer.violations] == [f"steps[0].{key}"]
    assert answer.violations[0].HasField("fix")


@pytest.mark.parametrize(
    "given", [{}, {"for": "soon"}, {"for": "1h", "until": "2027-01-01T00:00:00Z"}, {"until": "tomorrow"}]
)
def test_a_wait_has_exactly_one_of_for_and_until(given: dict[str, Any]) -> None:
    assert checked(pipeline(step("a", "orchestrator.wait", input=given))).violations


def test_a_wait_for_an_event_needs_a_timeout() -> None:
    assert checked(pipeline(step("a", "orchestrator.wait_event", input={"topic": "a"}))).violations
    assert not checked(pipeline(step("a", "orchestrator.wait_event", input=EVENT))).violations
