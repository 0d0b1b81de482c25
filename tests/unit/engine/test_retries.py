"""Delays between attempts: exponential, limited, with a random share."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from ordinaut.clock import EPOCH
from ordinaut.expressions.times import parse_timestamp
from pipeline_engine.data.failure import Failure
from pipeline_engine.interpreter.requests import Output
from pipeline_engine.interpreter.retry import delay_seconds, fraction_of
from pipeline_engine.language.document import RetryRule
from pipeline_engine.tools.definition import HttpTarget, Kind, Tool, read_proto_retry
from pipeline_engine.tools.retry_after import ToolHolds, retry_after_seconds
from tests.unit.engine.pipelines import checked, pipeline, step
from tests.unit.engine.world import World, error_of, failing

KEYS = [f"root/{number}" for number in range(500)]


@pytest.mark.parametrize(("jitter", "least"), [(0.0, 8.0), (0.5, 4.0), (1.0, 0.0)])
def test_jitter_is_the_random_share_of_a_delay(jitter: float, least: float) -> None:
    rule = RetryRule(max=9, delay=2.0, factor=2.0, jitter=jitter)
    delays = [delay_seconds(rule, 3, key) for key in KEYS]
    assert all(least <= delay <= 8.0 for delay in delays)
    assert max(delays) - min(delays) >= (8.0 - least) * 0.9


def test_the_default_delay_is_between_half_and_all_of_the_delay() -> None:
    """For rules in a document, a tool and a task."""
    for rule in (RetryRule(max=1), read_proto_retry({"max": 1})):
        assert rule is not None
        assert all(0.5 <= delay_seconds(rule, 1, key) <= 1.0 for key in KEYS)


def test_a_delay_is_the_same_in_every_process() -> None:
    rule = RetryRule(max=3)
    assert delay_seconds(rule, 1, "root/a") == delay_seconds(rule, 1, "root/a")
    assert delay_seconds(rule, 1, "root/a") != delay_seconds(rule, 1, "root/b")
    assert fraction_of("root/a#1") != fraction_of("root/a#2")


@pytest.mark.parametrize(("written", "jitter"), [({}, 0.5), ({"jitter": 0.0}, 0.0), ({"jitter": 0.25}, 0.25)])
def test_a_jitter_of_zero_differs_from_unset(written: dict[str, Any], jitter: float) -> None:
    rule = read_proto_retry({"max": 1, **written})
    assert rule is not None
    assert rule.jitter == jitter


def test_a_step_applies_its_retry_rule() -> None:
    document = pipeline(
        step(
            "a",
            "weather.forecast",
            input={"city": "Rome"},
            retry={"max": 2, "delay": "1s", "factor": 2, "jitter": 0.25},
        )
    )
    world = World(document, answer=failing(2), jitter=0.8)
    world.run()
    assert world.slept == [pytest.approx(0.8), pytest.approx(1.6)]


def one_step(**options: Any) -> Any:
    return pipeline(step("a", "weather.forecast", input={"city": "Rome"}, **options))


@pytest.mark.parametrize(("asked", "slept"), [(0.0, 1.0), (0.4, 1.0), (3.0, 3.0), (30.0, 30.0)])
def test_retry_after_is_the_floor_of_the_delay(asked: float, slept: float) -> None:
    """In the engine, and in the queue for a delay that is longer than the engine keeps a run."""
    world = World(one_step(retry={"max": 1, "delay": "1s"}), answer=failing(1, retry_after=asked))
    assert world.run().state == "SUCCEEDED"
    assert world.slept == [pytest.approx(slept)]


def test_the_time_of_the_next_attempt_is_recorded() -> None:
    """Only while there is one, and an engine that takes the run over keeps to it."""
    answer = failing(2, retry_after=20.0)
    world = World(one_step(retry={"max": 1, "delay": "1s"}), answer=answer, crash_at=2)
    ending = world.run()
    first, last = (orjson.loads(entry.error) for entry in world.journal)
    began = world.journal[0].end_us
    assert parse_timestamp(first["details"]["next_attempt_time"]) == EPOCH + timedelta(microseconds=began + 20_000_000)
    assert "next_attempt_time" not in last.get("details", {})
    assert error_of(ending)["attempt"] == 2
    assert world.journal[1].start_us - began == pytest.approx(20_000_000, abs=2_000)


def test_a_wait_beyond_the_runs_timeout_fails_the_step_at_once() -> None:
    """With the error of the tool, which the pipeline can handle."""
    document = one_step(retry={"max": 5, "delay": "1s"})
    world = World(document, answer=failing(9, retry_after=60.0), remaining_ms=30_000)
    error = error_of(world.run())
    assert (error["code"], error["attempt"], world.slept) == ("TOOL_UNAVAILABLE", 1, [])


def test_a_call_waits_while_its_tool_is_held() -> None:
    """Also the first attempt of another run; the time of the wait does not count for the attempt."""
    world = World(one_step(retry=0), answer=failing(0))
    until = world.clock.seconds + 12.0
    world.hold = lambda _tool: max(0.0, until - world.clock.seconds)
    assert world.run().state == "SUCCEEDED"
    assert sum(world.slept) == pytest.approx(12.0, abs=0.002)
    assert len(world.calls) == 1
    assert world.clock.seconds >= until


def test_holds_are_kept_by_tool_and_address() -> None:
    seconds = [100.0]
    holds = ToolHolds(lambda: seconds[0])
    tool = Tool("t.x", Kind.HTTP, http=HttpTarget("POST", "http://a.example/x"))
    other = replace(tool, http=HttpTarget("POST", "http://b.example/x"))
    holds.hold(tool, 5.0)
    holds.hold(tool, 1.0)
    assert (holds.remaining(tool), holds.remaining(other)) == (5.0, 0.0)
    seconds[0] += 6.0
    assert holds.remaining(tool) == 0.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 400, 86_400.0),
        ("Fri, 15 Jan 2027 08:02:00 GMT", 120.0),
        ("Friday, 15-Jan-27 08:02:00 GMT", 120.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2099 07:00:00 GMT", 86_400.0),
        ("1.5", 0.0),
        ("-3", 0.0),
        ("", 0.0),
        ("\u0663", 0.0),
        ("99 Foo 2027", 0.0),
    ],
)
def test_the_header_is_seconds_or_a_date(text: str, seconds: float) -> None:
    assert retry_after_seconds(text, now=datetime(2027, 1, 15, 8, tzinfo=UTC)) == seconds


def run_of(failures: list[Output | Failure], codes: list[str]) -> World:
    """Runs one step whose calls have these results, with a rule that lists `codes`."""
    results = iter(failures)
    one = step("a", "calendar.list_events", input={"start": "x"}, retry={"max": 2, "delay": "1s", "codes": codes})
    world = World(pipeline(one), answer=lambda _call: next(results))
    world.run()
    return world


INVALID, VALID = Output({}), Output({"events": []})


@pytest.mark.parametrize(
    ("codes", "failures", "calls"),
    [
        (["VALIDATION_OUTPUT"], [INVALID, INVALID, VALID], 3),
        (["VALIDATION_OUTPUT"], [INVALID, INVALID, INVALID], 3),
        (["VALIDATION_OUTPUT"], [Failure("TIMEOUT", "", retryable=True), VALID], 1),
        (["TIMEOUT"], [INVALID, VALID], 1),
        (["NO_DATA"], [Failure("NO_DATA", ""), VALID], 2),
        (["DENIED"], [Failure("DENIED", ""), VALID], 2),
        (["PAYLOAD_TOO_LARGE"], [Failure("PAYLOAD_TOO_LARGE", ""), VALID], 2),
        (["REJECTED"], [Failure("REJECTED", ""), VALID], 1),
        (["OUTCOME_UNKNOWN"], [Failure("OUTCOME_UNKNOWN", ""), VALID], 1),
        ([], [INVALID, VALID], 1),
    ],
)
def test_a_listed_code_is_retried(codes: list[str], failures: list[Output | Failure], calls: int) -> None:
    """Also one that is not retried by default; only the codes of decisions are final."""
    assert len(run_of(failures, codes).calls) == calls


@pytest.mark.parametrize(("code", "attempts"), [("NO_DATA", 3), ("OTHER", 1)])
def test_orchestrator_fail_is_repeated_by_a_rule_that_lists_its_code(code: str, attempts: int) -> None:
    """Its input is rendered for each attempt."""
    rule = {"max": 2, "delay": "1s", "codes": [code]}
    message = "attempt ${step.attempt}"
    one = step("a", "orchestrator.fail", input={"code": "NO_DATA", "message": message}, retry=rule)
    world = World(pipeline(one))
    assert error_of(world.run())["message"] == f"attempt {attempts}"
    assert len(world.slept) == attempts - 1


def test_orchestrator_fail_in_a_pipeline_can_stop_failing() -> None:
    """A rule of the task applies as well."""
    message = {"code": "${step.attempt == `3` && 'LAST' || 'NO_DATA'}", "message": "m"}
    world = World(
        pipeline(step("a", "orchestrator.fail", input=message)),
        retry=b'{"max": 5, "delay": "1s", "codes": ["NO_DATA"]}',
    )
    assert error_of(world.run())["code"] == "LAST"


@pytest.mark.parametrize("code", ["REJECTED", "OUTCOME_UNKNOWN", "FAN_OUT_LIMIT", "CANCELLED", "LOST_TOO_OFTEN"])
def test_a_code_that_is_never_retried_is_a_warning(code: str) -> None:
    """With the repair that removes it."""
    answer = checked(pipeline(step("a", "weather.forecast", input={"city": "Rome"}, retry={"codes": [code]})))
    assert not answer.violations
    assert [warning.startswith("steps[0].retry.codes[0]: ") for warning in answer.warnings] == [True]
    assert answer.warning_fixes[0].fix.operations[0]["op"] == "remove"
