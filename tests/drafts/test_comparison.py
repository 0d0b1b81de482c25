"""Tasks that mean the same are equal, and each change of the meaning is a difference."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks.drafts.comparison import difference
from benchmarks.drafts.validity import read_task

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
TASK: dict[str, Any] = {
    "name": "tasks/a",
    "schedule": {"time_zone": "Europe/Berlin", "triggers": [{"cron": "0 9 * * 1-5"}]},
    "run_policy": {"priority": 3},
    "params": {"city": "Berlin"},
    "params_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    "pipeline": {
        "steps": [
            {"id": "w", "uses": "weather.forecast", "with": {"city": "${params.city}"}, "timeout": "30s", "retry": 2},
            {"id": "ok", "uses": "orchestrator.request_approval", "with": {"message": "Send?", "expires_in": "1h"}},
            {
                "id": "m",
                "if": "steps.ok.status == 'approved' && steps.w.temp > 20",
                "uses": "mail.send",
                "with": {"to": "team", "text": "${steps.w.temp} degrees"},
                "on_error": "continue",
            },
        ],
        "output": "${steps.m.id}",
    },
}
EVENT: dict[str, Any] = {
    "schedule": {"triggers": [{"event": {"topic": "orders.*", "when": "data.total > 100"}}]},
    "pipeline": {
        "steps": [{"id": "a", "uses": "pay.charge", "with": {"account": "a", "amount": "${event.data.total}"}}]
    },
}


def compared(document: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> str:
    """The difference after a change."""
    changed = copy.deepcopy(document)
    change(changed)
    return difference(read_task(changed), read_task(document), NOW)


def step(document: dict[str, Any], number: int) -> dict[str, Any]:
    found: dict[str, Any] = document["pipeline"]["steps"][number]
    return found


SAME: dict[str, Callable[[dict[str, Any]], object]] = {
    "cron in words": lambda task: task["schedule"].update(triggers=[{"cron": "0 9 * * mon-fri"}]),
    "a rule": lambda task: task["schedule"].update(
        triggers=[{"rrule": "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0"}]
    ),
    "an equal zone": lambda task: task["schedule"].update(time_zone="Europe/Paris"),
    "two triggers": lambda task: task["schedule"].update(triggers=[{"cron": "0 9 * * 1-3"}, {"cron": "0 9 * * 4,5"}]),
    "another id": lambda task: step(task, 1).update(id="ok"),
    "a name of a step": lambda task: step(task, 0).update(name="The weather"),
    "retry in full": lambda task: step(task, 0).update(retry={"max": 2, "delay": "1s", "factor": 2}),
    "another unit": lambda task: step(task, 1)["with"].update(expires_in="60m"),
    "a group": lambda task: task["pipeline"].update(steps=[{"id": "all", "do": task["pipeline"]["steps"]}]),
    "the condition in another order": lambda task: step(task, 2).update(
        {"if": "steps.w.temp > 20 && !(steps.ok.status != 'approved')"}
    ),
    "a value with a name": lambda task: (
        task["pipeline"]["steps"].insert(0, {"id": "v", "uses": "orchestrator.set", "with": {"to": "team"}}),
        step(task, 3)["with"].update(to="${steps.v.to}"),
    ),
    "the default priority": lambda task: task["run_policy"].update(max_losses=3),
    "a title in the schema": lambda task: task["params_schema"].update(title="Params"),
    "a required param that is set": lambda task: task["params_schema"].update(required=["city"]),
}
OTHER: dict[str, Callable[[dict[str, Any]], object]] = {
    "another hour": lambda task: task["schedule"].update(triggers=[{"cron": "0 10 * * 1-5"}]),
    "other days": lambda task: task["schedule"].update(triggers=[{"cron": "0 9 * * 2-6"}]),
    "another zone": lambda task: task["schedule"].update(time_zone="Europe/London"),
    "a zone without summer time": lambda task: task["schedule"].update(time_zone="Etc/GMT-1"),
    "an excluded day": lambda task: task["schedule"].update(exclusions=[{"date": "2028-05-01"}]),
    "jitter": lambda task: task["schedule"].update(jitter="30s"),
    "catch-up": lambda task: task["schedule"].update(catch_up={"policy": "NONE"}),
    "params of a trigger": lambda task: task["schedule"]["triggers"][0].update(params={"city": "Oslo"}),
    "another priority": lambda task: task["run_policy"].update(priority=4),
    "overlap": lambda task: task["run_policy"].update(overlap={"policy": "ALLOW"}),
    "retries of the task": lambda task: task["run_policy"].update(retry={"max": 5}),
    "other params": lambda task: task["params"].update(city="Oslo"),
    "a stricter schema": lambda task: task["params_schema"].update(additionalProperties=False),
    "another name": lambda task: task.update(name="tasks/b"),
    "a fixed city": lambda task: step(task, 0)["with"].update(city="Berlin"),
    "another timeout": lambda task: step(task, 0).update(timeout="30m"),
    "fewer retries": lambda task: step(task, 0).update(retry=1),
    "slower retries": lambda task: step(task, 0).update(retry={"max": 2, "delay": "5s"}),
    "another limit": lambda task: step(task, 2).update({"if": "steps.ok.status == 'approved' && steps.w.temp >= 20"}),
    "no approval": lambda task: step(task, 2).update({"if": "steps.w.temp > 20"}),
    "a longer approval": lambda task: step(task, 1)["with"].update(expires_in="2h"),
    "another text": lambda task: step(task, 2)["with"].update(text="${steps.w.temp}"),
    "a text that is not rendered": lambda task: step(task, 2)["with"].update(text="{{ steps.w.temp }} degrees"),
    "an error that fails": lambda task: step(task, 2).pop("on_error"),
    "a step less": lambda task: task["pipeline"]["steps"].pop(1) and step(task, 1).pop("if"),
    "a step more": lambda task: task["pipeline"]["steps"].append({"id": "e", "uses": "orchestrator.stop"}),
    "another tool": lambda task: step(task, 2).update(uses="chat.post", **{"with": {"channel": "team", "text": "a"}}),
    "no output": lambda task: task["pipeline"].pop("output") and task["pipeline"].update(output=None),
    "a handler": lambda task: task["pipeline"].update(
        on_error=[{"id": "x", "uses": "orchestrator.emit", "with": {"topic": "a.failed"}}]
    ),
    "a limit of time": lambda task: task["pipeline"].update(timeout="10s"),
    "a pause": lambda task: task["pipeline"]["steps"].insert(
        0, {"id": "p", "uses": "orchestrator.wait", "with": {"for": "1m"}}
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_another_form_is_equal(name: str) -> None:
    """The meaning counts, not the text."""
    assert compared(TASK, SAME[name]) == ""


@pytest.mark.parametrize("name", OTHER)
def test_another_meaning_differs(name: str) -> None:
    """Each of these would be noticed by the author."""
    assert compared(TASK, OTHER[name]) != ""


def test_events_are_compared_by_what_they_accept() -> None:
    """The condition of a trigger may be written differently."""
    trigger = "event"
    assert (
        compared(EVENT, lambda task: task["schedule"]["triggers"][0][trigger].update(when="(data.total > 100)")) == ""
    )
    assert compared(EVENT, lambda task: task["schedule"]["triggers"][0][trigger].update(when="data.total >= 100"))
    assert compared(EVENT, lambda task: task["schedule"]["triggers"][0][trigger].update(when=""))
    assert compared(EVENT, lambda task: task["schedule"]["triggers"][0][trigger].update(topic="orders.>"))


def test_parallel_steps_are_not_steps_in_order() -> None:
    """Calls that take time show it."""
    one = {"id": "a", "uses": "weather.forecast", "with": {"city": "Berlin"}}
    two = {"id": "b", "uses": "weather.forecast", "with": {"city": "Oslo"}}
    order = {"pipeline": {"steps": [one, two], "output": 1}}
    beside = {"pipeline": {"steps": [{"id": "c", "branches": {"a": [one], "b": [two]}}], "output": 1}}
    assert difference(read_task(beside), read_task(order), NOW)
