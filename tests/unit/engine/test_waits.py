"""A run that waits leaves the engine and resumes from its journal."""

from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict

from ordinaut.expressions import ExpressionError
from ordinaut.expressions.event_condition import bound_match, matches_event
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Call, Finished, Output, Suspended
from tests.unit.engine.pipelines import checked, pipeline, step
from tests.unit.engine.test_broken_documents_are_repaired import apply
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
    assert orjson.loads(other.match) == [2, {"data.order": "o'1"}, {}]
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
    assert not answer.violations[0].HasField("fix"), "what was asked for is not dropped"


@pytest.mark.parametrize(
    "given", [{}, {"for": "soon"}, {"for": "1h", "until": "2027-01-01T00:00:00Z"}, {"until": "tomorrow"}]
)
def test_a_wait_has_exactly_one_of_for_and_until(given: dict[str, Any]) -> None:
    assert checked(pipeline(step("a", "orchestrator.wait", input=given))).violations


def test_a_wait_for_an_event_needs_a_timeout() -> None:
    assert checked(pipeline(step("a", "orchestrator.wait_event", input={"topic": "a"}))).violations
    assert not checked(pipeline(step("a", "orchestrator.wait_event", input=EVENT))).violations


def wait_for(match: Any, **modifiers: Any) -> dict[str, Any]:
    return step("a", "orchestrator.wait_event", input={**EVENT, "match": match}, **modifiers)


@pytest.mark.parametrize(
    "match",
    [
        "data.order == params.order",
        "data.items[?id == params.order]",
        {"data.order": "${params.order}"},
        {"data.order": "x' || 'a' == 'a"},
        {"data.items[?id == params.order] | [0].paid": True},
    ],
)
def test_values_of_the_run_are_bound_in_a_match(match: Any) -> None:
    """A value stays a value, whatever it contains; only what the condition reads is stored with the wait."""
    order = "x' || 'a' == 'a"
    [wait] = suspended(World(pipeline(wait_for(match)), params={"order": order, "secret": "s"})).waits
    stored = orjson.loads(wait.match)
    for event_order, fits in ((order, True), ("other", False)):
        items = [{"id": event_order, "paid": True}]
        assert matches_event(stored, {"data": {"order": event_order, "items": items}}) is fits
    assert "secret" not in wait.match.decode()


def test_names_of_loops_are_bound_in_a_match() -> None:
    """Each iteration waits for its own element."""
    loop = wait_for("data.n == item.n && data.i == index", foreach=[{"n": 5}, {"n": 6}])
    waits = suspended(World(pipeline(loop))).waits
    bound = [orjson.loads(wait.match)[2] for wait in waits]
    assert bound == [{"item": {"n": 5}, "index": 0}, {"item": {"n": 6}, "index": 1}]


@pytest.mark.parametrize(
    ("match", "repaired"),
    [
        ("data.order == '${params.order}'", "data.order == params.order"),
        ("${data.n > `5`}", "(data.n > `5`)"),
        ("data.n == ${params.order}", "data.n == params.order"),
        ("event.data.n == 5", "data.n == 5"),
        ("data.id == event.id && event.topic != 'x'", "data.id == id && event.topic != 'x'"),
        ("dta.n == 5", "data.n == 5"),
        ("data.n == parms.order", "data.n == params.order"),
        ("data.n == params.ordr", "data.n == params.order"),
        ("topic.name == 'x'", None),
        ("${params.order}", None),
        ("params.order == 'x'", None),
        ("event == 'x'", None),
        ({"data.order": "${params.ordr}"}, {"data.order": "${params.order}"}),
        ({"event.data.order": 5}, {"data.order": 5}),
        ({"order": 5}, {"data.order": 5}),
        ("order == params.order", "data.order == params.order"),
        ({"'${params.order}'": 5}, None),
        ("${params.order}x", None),
        ("data.n == error.code", None),
        ("data.n == secrets.x", None),
    ],
)
def test_a_match_that_would_never_match_is_refused(match: Any, repaired: Any) -> None:
    """Unknown names and placeholders, with a repair where the intention is certain."""
    document = pipeline(wait_for(match))
    answer = checked(document, params={"order": "A-7"})
    first = answer.violations[0]
    assert first.field.startswith("steps[0].with.match")
    assert first.HasField("fix") is (repaired is not None)
    if repaired is not None:
        better = apply(document, MessageToDict(first.fix)["operations"])
        assert better["steps"][0]["with"]["match"] == repaired


def test_the_input_of_a_wait_for_an_event_is_written_as_an_object() -> None:
    """An expression in computed data would be evaluated."""
    answer = checked(pipeline(step("a", "orchestrator.wait_event", input="${params.input}")))
    assert [violation.field for violation in answer.violations] == ["steps[0].with"]


def test_a_wait_of_the_first_revision_matches_as_before() -> None:
    """It was stored without a revision and without values."""
    assert matches_event("data.n != 'x'", {"data": {"n": 5}})
    assert matches_event({"data.n": 5}, {"data": {"n": 5}})
    assert not matches_event({"data.n": "5"}, {"data": {"n": 5}})
    with pytest.raises(ExpressionError, match="cannot compare a number with a string"):
        matches_event(bound_match({"data.n": "5"}, {}), {"data": {"n": 5}})
