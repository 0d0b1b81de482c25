"""Verdicts of figures against their targets, and quantiles of samples."""

import pytest

from benchmarks.harness.targets import Row
from benchmarks.latency import percentiles, quantile


@pytest.mark.parametrize(
    ("value", "verdict"), [(2.9, "goal"), (3.0, "goal"), (3.1, "required"), (5.0, "required"), (5.1, "missed")]
)
def test_lower_is_better_by_default(value: float, verdict: str) -> None:
    assert Row("x", value, "ms", required=5, goal=3).verdict == verdict


@pytest.mark.parametrize(("value", "verdict"), [(0.5, "goal"), (0.4, "goal"), (0.39, "required"), (0.19, "missed")])
def test_higher_is_better_where_declared(value: float, verdict: str) -> None:
    assert Row("x", value, "", required=0.2, goal=0.4, higher_is_better=True).verdict == verdict


def test_a_figure_without_targets_has_no_verdict() -> None:
    assert Row("x", 1.0, "runs/s").verdict == ""


def test_quantiles_are_values_of_the_sample() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert (quantile(hundred, 0.5), quantile(hundred, 0.99)) == (50.0, 99.0)
    assert quantile([7.0], 0.99) == 7.0


def test_each_percentile_has_its_own_targets() -> None:
    median, worst = percentiles("x", [9.0, 1.0, 1.0], (5, 15), (3, 8))
    assert (median.value, median.verdict) == (1.0, "goal")
    assert (worst.value, worst.verdict) == (9.0, "required")
