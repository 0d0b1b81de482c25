"""Checks after the kills: punctual runs, the follow-up task, and the observable state of the system."""

import urllib.request
from collections.abc import Iterable

from examples.morning_briefing import runs
from examples.morning_briefing.reporter import Reporter, until
from examples.morning_briefing.stage import Stage
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.state_service_pb2 import GetStateEntryRequest

NEXT_RUN_SECONDS = 30.0
FOLLOW_UP_SECONDS = 10.0
LAG_MAX_MS = 1000.0
HTTP_SECONDS = 5.0
METRIC = "ordinaut_"


async def keep_time(stage: Stage, reporter: Reporter, task: str, after: Run) -> list[Run]:
    """Waits for the next two scheduled runs and checks that they started on time.

    Raises:
        CheckFailedError: a run is late or failed.
    """
    reporter.section("The schedule continues")
    second = await _next_punctual(stage, reporter, task, after)
    return [second, await _next_punctual(stage, reporter, task, second)]


async def _next_punctual(stage: Stage, reporter: Reporter, task: str, last: Run) -> Run:
    run = await until(lambda: _next_ended(stage, task, last), NEXT_RUN_SECONDS, "the next briefing runs")
    _verify_punctual(stage, reporter, run)
    return run


async def _next_ended(stage: Stage, task: str, last: Run) -> Run | None:
    later = [run for run in await runs.of_task(stage.owner, task) if run.name > last.name]
    return await runs.get(stage.owner, later[0].name) if later and later[0].state in runs.ENDED else None


def _verify_punctual(stage: Stage, reporter: Reporter, run: Run) -> None:
    lag = runs.lag_ms(run)
    reporter.expect(run.state == Run.State.SUCCEEDED, f"the briefing of {run.scheduled_time.ToJsonString()} was sent")
    reporter.expect(0 <= lag < LAG_MAX_MS, f"it started {lag:.1f} ms after its scheduled time")
    reporter.expect(len(stage.mails(runs.root(run))) == 1, "exactly one mail was delivered for it")


async def follow_up(stage: Stage, reporter: Reporter, task: str, briefings: list[Run]) -> None:
    """Checks that the event of each briefing has started the follow-up task exactly once.

    Raises:
        CheckFailedError: a follow-up is missing, duplicated or failed.
    """
    reporter.section("The follow-up task has run")
    expected = [run.occurrence for run in briefings]

    async def all_followed() -> list[Run] | None:
        ended = [run for run in await runs.of_task(stage.owner, task) if run.state in runs.ENDED]
        return ended if set(expected) <= set(_occurrences(ended)) else None

    followers = await until(all_followed, FOLLOW_UP_SECONDS, "every briefing.sent event starts the follow-up")
    reporter.expect(all(run.state == Run.State.SUCCEEDED for run in followers), "every follow-up has succeeded")
    once = all(list(_occurrences(followers)).count(occurrence) == 1 for occurrence in expected)
    reporter.expect(once, f"one follow-up for each of {len(expected)} briefing.sent events")
    entry = await stage.owner.state.GetStateEntry(GetStateEntryRequest(name="state/briefing/counter"))
    count = int(entry.value.number_value)
    reporter.expect(count >= len(expected), f"state/briefing/counter is {count}, at revision {entry.revision}")


def _occurrences(followers: Iterable[Run]) -> Iterable[str]:
    return [str(run.event.data["occurrence"]) for run in followers]


def show_signs(stage: Stage, reporter: Reporter) -> None:
    """Checks readiness, metrics and mails, and prints where to find them.

    Raises:
        CheckFailedError: one of them is missing.
    """
    reporter.section("Where to look")
    ready = _fetch(f"{stage.system['rest']}/readyz")
    reporter.expect(bool(ready), f"{stage.system['rest']}/readyz answers {ready.strip()}")
    for service, urls in stage.system["metrics"].items():
        lines = [line for line in _fetch(urls[0]).splitlines() if line.startswith(METRIC)]
        reporter.expect(bool(lines), f"{urls[0]} ({service}), for example {lines[0] if lines else ''}")
    reporter.info(f"the mails are in {stage.maildir}/new; one of them:")
    for line in stage.mails("")[0].get_content().splitlines():
        reporter.detail(line)


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=HTTP_SECONDS) as answer:  # noqa: S310 - a loopback address
        return str(answer.read().decode())
