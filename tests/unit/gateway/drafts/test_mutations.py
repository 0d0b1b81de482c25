"""Valid tasks that are written with the habits of other systems come back equal."""

import copy
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.sample import amount
from tests.unit.gateway.drafts.drafting import redrafted, task

ROUNDS = amount("ORDINAUT_DRAFT_ROUNDS", 20, 500)  # of 20 mutated tasks each
PLACEHOLDER = re.compile(r"(?<!\$)\$\{([^{}]+)\}")
STEP_WORDS = {
    "uses": ("tool", "action", "use", "call", "Uses"),
    "with": ("input", "args", "params", "inputs", "arguments"),
    "if": ("when", "condition", "only_if", "run_if"),
    "foreach": ("for_each", "loop", "items", "with_items", "forEach"),
    "max_parallel": ("concurrency", "parallelism", "maxParallel"),
    "save_as": ("register", "store_as", "saveAs"),
    "retry": ("retries", "max_retries"),
    "needs_approval": ("approval", "requires_approval"),
}
SCHEDULES: list[dict[str, Any]] = [
    {"triggers": [{"cron": "0 9 * * 1-5"}], "time_zone": "Europe/Berlin"},
    {"triggers": [{"interval": "5m"}]},
    {"triggers": [{"cron": "30 7 * * *"}], "time_zone": "Asia/Tokyo"},
    {"triggers": [{"event": {"topic": "orders.paid"}}]},
]
Steps = list[dict[str, Any]]


def valid_task(rng: random.Random) -> dict[str, Any]:
    """A task with two to six steps that read each other."""
    steps: Steps = [{"id": "weather", "uses": "weather.forecast", "with": {"city": "${params.city}"}}]
    for number in range(rng.randint(1, 5)):
        steps.append(rng.choice(STEPS)(f"s{number}"))
    if rng.random() < 0.3:
        steps.append({"id": "group", "if": "steps.weather.temp > 1", "do": [mail("inner")]})
    document = {
        "name": "tasks/a",
        "params": {"city": "Berlin", "list": [1, 2]},
        "pipeline": {"version": 1, "steps": steps},
    }
    if rng.random() < 0.7:
        document["schedule"] = copy.deepcopy(rng.choice(SCHEDULES))
    if rng.random() < 0.3:
        document["pipeline"]["output"] = {"temp": "${steps.weather.temp}"}  # type: ignore[index]
    return document


def mail(name: str) -> dict[str, Any]:
    return {"id": name, "uses": "mail.send", "with": {"to": "team", "text": "It is ${steps.weather.temp} degrees"}}


STEPS: list[Callable[[str], dict[str, Any]]] = [
    mail,
    lambda name: {**mail(name), "if": "steps.weather.temp > 20 && params.city != null", "timeout": "30s"},
    lambda name: {**mail(name), "retry": 3, "on_error": "continue"},
    lambda name: {**mail(name), "foreach": "params.list", "max_parallel": 2},
    lambda name: {**mail(name), "needs_approval": {"message": "Send?", "assignees": ["boss"], "expires_in": "2h"}},
    lambda name: {"id": name, "uses": "orchestrator.wait", "with": {"for": "10m"}},
    lambda name: {"id": name, "uses": "orchestrator.emit", "with": {"topic": "a.b", "data": {"t": "${params.city}"}}},
    lambda name: {"id": name, "uses": "pay.charge", "with": {"account": "main", "amount": 5}, "timeout": "2m"},
]  # fmt: skip


def each_step(steps: Steps) -> Iterator[dict[str, Any]]:
    for step in steps:
        yield step
        yield from each_step(step.get("do", []))


def rename(step: dict[str, Any], old: str, new: str) -> None:
    items = [(new if key == old else key, value) for key, value in step.items()]
    step.clear()
    step.update(items)


def texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: texts(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [texts(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def words(document: dict[str, Any], rng: random.Random) -> None:
    for step in each_step(document["pipeline"]["steps"]):
        for key in [key for key in step if key in STEP_WORDS and rng.random() < 0.4]:
            rename(step, key, rng.choice(STEP_WORDS[key]))


def braces(document: dict[str, Any], rng: random.Random) -> None:
    form = rng.choice(("{{ %s }}", "${{ %s }}", "{{%s}}", "%%{%s}", "<%%= %s %%>"))
    document["pipeline"] = texts(
        document["pipeline"], lambda text: PLACEHOLDER.sub(lambda match: form % match[1], text)
    )


def outputs(document: dict[str, Any], rng: random.Random) -> None:
    word = rng.choice(("output", "outputs", "result"))
    document["pipeline"] = texts(
        document["pipeline"], lambda text: text.replace("weather.temp", f"weather.{word}.temp")
    )


def roots(document: dict[str, Any], rng: random.Random) -> None:
    word = rng.choice(("inputs", "args", "vars", "parameters"))
    document["pipeline"] = texts(document["pipeline"], lambda text: text.replace("params.city", f"{word}.city"))


def operators(document: dict[str, Any], rng: random.Random) -> None:
    for step in each_step(document["pipeline"]["steps"]):
        if isinstance(step.get("if"), str):
            text = step["if"].replace("&&", rng.choice(("and", "AND", "&&")))
            step["if"] = text.replace("!= null", rng.choice(("!= None", "is not null", "is not None", "!== null")))


def units(document: dict[str, Any], rng: random.Random) -> None:
    forms = {"30s": (30, "30 seconds", "30", {"seconds": 30}), "2m": ("2 minutes", {"minutes": 2}), "2h": ("2 hours",)}
    for step in each_step(document["pipeline"]["steps"]):
        if step.get("timeout") in forms:
            step["timeout"] = rng.choice(forms[step["timeout"]])


def lifted(document: dict[str, Any], rng: random.Random) -> None:
    """The steps at the top level, and the schedule in other forms."""
    schedule = document.get("schedule")
    if schedule is not None and rng.random() < 0.5:
        [trigger] = schedule.pop("triggers")
        if "event" in trigger:
            trigger = {"event": trigger["event"]["topic"]}
        schedule.update(trigger)
        if "time_zone" in schedule and rng.random() < 0.5:
            rename(schedule, "time_zone", rng.choice(("timezone", "tz", "timeZone")))
    pipeline = document.pop("pipeline")
    document.update(
        pipeline if rng.random() < 0.5 else {"pipeline": pipeline["steps"], "output": pipeline.get("output")}
    )
    if document.get("output") is None:
        document.pop("output", None)


def built_in(document: dict[str, Any], rng: random.Random) -> None:
    for step in each_step(document["pipeline"]["steps"]):
        if step.get("uses") == "orchestrator.wait":
            step["uses"] = rng.choice(("sleep", "delay", "wait", "orchestrator.sleep"))
            step["with"] = rng.choice(({"duration": "10m"}, {"for": "10m"}, {"minutes": 10}))
        elif step.get("uses") == "orchestrator.emit":
            step["uses"] = rng.choice(("publish", "emit", "event.emit"))
            rename(step["with"], "data", rng.choice(("payload", "data")))


def mapped(document: dict[str, Any], rng: random.Random) -> None:
    """Steps as a map of ids."""
    steps = document["pipeline"]["steps"]
    document["pipeline"]["steps"] = {step["id"]: {k: v for k, v in step.items() if k != "id"} for step in steps}


MUTATIONS = [built_in, words, braces, outputs, roots, operators, units]


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_mutated_tasks_come_back_equal(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(20):
        original = valid_task(rng)
        written = copy.deepcopy(original)
        chosen = [mutation for mutation in MUTATIONS if rng.random() < 0.4]
        for mutation in chosen:
            mutation(written, rng)
        if rng.random() < 0.2:
            mapped(written, rng)
        if rng.random() < 0.4:
            lifted(written, rng)
        draft = redrafted(written)
        assert not draft.asks, written
        assert normal(task(draft)) == normal(original), written


def normal(value: Any) -> Any:
    """A task in which equal values are written equally: durations in seconds, versions left out."""
    if isinstance(value, dict):
        renamed = {"max_retries": "retry"}  # both are accepted
        return {renamed.get(key, key): normal(item) for key, item in value.items() if key != "version"}
    if isinstance(value, list):
        return [normal(item) for item in value]
    return (
        {"120s": "2m", "600s": "10m", "7200s": "2h", "300s": "5m"}.get(value, value)
        if isinstance(value, str)
        else value
    )
