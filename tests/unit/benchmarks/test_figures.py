"""A figure is judged by its targets, and the quantiles are values that were measured."""

import pytest

from benchmarks.latency import quantile, rows
from benchmarks.targets import Row


@pytest.mark.parametrize(
    ("value", "verdict"), [(2.9, "aim"), (3.0, "aim"), (3.1, "must"), (5.0, "must"), (5.1, "missed")]
)
def test_smaller_is_better(value: float, verdict: str) -> None:
    assert Row("x", value, "ms", must=5, aim=3).verdict == verdict


@pytest.mark.parametrize(("value", "verdict"), [(0.5, "aim"), (0.4, "aim"), (0.39, "must"), (0.19, "missed")])
def test_where_more_is_better_too(value: float, verdict: str) -> None:
    assert Row("x", value, "", must=0.2, aim=0.4, rises=True).verdict == verdict


def test_what_has_no_target_is_only_told() -> None:
    assert Row("x", 1.0, "runs/s").verdict == ""


def test_quantiles_are_values_of_the_sample() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert (quantile(hundred, 0.5), quantile(hundred, 0.99)) == (50.0, 99.0)
    assert quantile([7.0], 0.99) == 7.0


def test_rows_hold_each_quantile_against_its_own_targets() -> None:
    median, worst = rows("x", [9.0, 1.0, 1.0], (5, 15), (3, 8))
    assert (median.value, median.verdict) == (1.0, "aim")
    assert (worst.value, worst.verdict) == (9.0, "must")
