"""The CPU time that projects may spend on conditions."""

import pytest

from scheduler.conditions.budget import BURST_SECONDS, RATE, SLICE_SECONDS, Budgets


class Time:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_project_spends_a_second_at_once_and_then_fifty_milliseconds_a_second() -> None:
    time = Time()
    budgets = Budgets(time)
    spent = 0.0
    for millisecond in range(10_000):
        time.now = millisecond / 1000
        if budgets.in_turn(["a"]):
            seconds = budgets.slice("a")
            budgets.charge("a", seconds, {})
            spent += seconds
    assert spent == pytest.approx(BURST_SECONDS + 10 * RATE, abs=SLICE_SECONDS)


def test_an_overdraft_is_paid_back() -> None:
    time = Time()
    budgets = Budgets(time)
    budgets.in_turn(["a"])
    budgets.charge("a", BURST_SECONDS + 1, {})
    time.now = 19
    assert budgets.in_turn(["a", "b"]) == ["b"]
    time.now = 21
    assert set(budgets.in_turn(["a", "b"])) == {"a", "b"}


def test_projects_take_turns() -> None:
    time = Time()
    budgets = Budgets(time)
    served = []
    for second in range(6):
        time.now = second
        project = budgets.in_turn(["a", "b", "c"])[0]
        budgets.charge(project, budgets.slice(project), {})
        served.append(project)
    assert served == ["a", "b", "c"] * 2


def minutes(budgets: Budgets, time: Time, shares: dict[int, float], seconds: int) -> list[int]:
    """Works for the project whenever it may; the triggers to disable."""
    disabled: list[int] = []
    for _ in range(seconds * 10):
        time.now += 0.1
        if budgets.in_turn(["a"]):
            spent = budgets.slice("a")
            disabled += budgets.charge("a", spent, {trigger: share * spent for trigger, share in shares.items()})
    return disabled


def test_a_trigger_with_a_quarter_of_an_exhausted_budget_is_disabled_after_a_minute() -> None:
    time = Time()
    budgets = Budgets(time)
    budgets.in_turn(["a"])
    budgets.charge("a", BURST_SECONDS, {})
    shares = {1: 0.5, **dict.fromkeys(range(2, 52), 0.01)}
    assert minutes(budgets, time, shares, 55) == []
    assert minutes(budgets, time, shares, 10) == [1]


def test_a_project_that_recovers_begins_another_minute() -> None:
    time = Time()
    budgets = Budgets(time)
    budgets.in_turn(["a"])
    budgets.charge("a", BURST_SECONDS, {})
    assert minutes(budgets, time, {1: 1.0}, 50) == []
    budgets.in_turn([])  # it has no work
    budgets.in_turn(["a"])
    assert minutes(budgets, time, {1: 1.0}, 30) == []
