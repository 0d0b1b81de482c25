"""Delays between attempts: exponential, limited, with a random share."""

from typing import Any

import pytest

from pipeline_engine.interpreter.retry import delay_seconds, fraction_of
from pipeline_engine.language.document import RetryRule
from pipeline_engine.tools.definition import read_proto_retry
from tests.unit.engine.pipelines import pipeline, step
from tests.unit.engine.world import World, failing

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
