"""The power cut: a worker and an engine die in the middle of a run, and once more while a mail is on its way."""

import os
import signal
from typing import Any

from examples.morning_briefing import runs
from examples.morning_briefing.reporter import Reporter, until
from examples.morning_briefing.stage import Stage
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.system_service_pb2 import ListWorkersRequest

FIRST_RUN_SECONDS = 20.0
CALL_SECONDS = 10.0


async def survive(stage: Stage, reporter: Reporter, task: str) -> Run:
    """Tells the first run of the task, with two kills, and checks that nothing was lost or doubled.

    Raises:
        BrokenPromiseError: something was.
    """
    reporter.section("The briefing runs, and the power fails twice")
    run = await until(lambda: _first(stage, task), FIRST_RUN_SECONDS, "the first briefing starts")
    reporter.info(f"{run.name} begins, for {run.scheduled_time.ToJsonString()}")
    async for step in runs.new_steps(stage.owner, run.name):
        reporter.info(runs.described(step))
        if step.path == "agenda":
            await _cut_while_the_almanac_thinks(stage, reporter)
        elif step.path == "almanac":
            await _cut_before_the_mail_is_confirmed(stage, reporter)
    ended = await runs.get(stage.owner, run.name)
    _verify(stage, reporter, ended)
    return ended


async def _first(stage: Stage, task: str) -> Run | None:
    found = await runs.of_task(stage.owner, task)
    return found[0] if found else None


async def _cut_while_the_almanac_thinks(stage: Stage, reporter: Reporter) -> None:
    async def asked() -> bool | None:
        return bool(stage.calls("almanac")) or None

    await until(asked, CALL_SECONDS, "the almanac is asked")
    pids = [*stage.system["pids"]["worker"], *stage.system["pids"]["pipeline_engine"]]
    _kill(pids)
    reporter.info(f"kill -9 of worker and engine (pids {_list(pids)}) while the almanac is being asked")


async def _cut_before_the_mail_is_confirmed(stage: Stage, reporter: Reporter) -> None:
    async def delivered() -> bool | None:
        return bool(stage.mails("")) or None

    await until(delivered, CALL_SECONDS, "the mail is delivered")
    pids = await _new_workers(stage)
    _kill(pids)
    reporter.info(f"kill -9 of the new worker (pid {_list(pids)}): the mail is sent, and nobody has heard so yet")


async def _new_workers(stage: Stage) -> list[int]:
    """The process ids of the workers that took over; the lease of the killed one may still be running out."""
    answer = await stage.admin.system.ListWorkers(ListWorkersRequest())
    found = [int(worker.host.rpartition(":")[2]) for worker in answer.workers]
    return [pid for pid in found if pid not in stage.system["pids"]["worker"]]


def _kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _repeated(calls: list[dict[str, Any]]) -> bool:
    """Called more than once, each time with the same key."""
    return len(calls) > 1 and len({call["key"] for call in calls}) == 1


def _list(pids: list[int]) -> str:
    return ", ".join(str(pid) for pid in pids)


def _verify(stage: Stage, reporter: Reporter, run: Run) -> None:
    root = runs.root(run)
    agenda, almanac, mail = (stage.calls(agent, root) for agent in ("calendar", "almanac", "mail"))
    reporter.expect(run.state == Run.State.SUCCEEDED, f"the run has succeeded; workers took it {run.claims} times")
    done = [step.path for step in run.steps if step.state == StepRun.State.SUCCEEDED]
    reporter.expect(len(done) == len(set(done)), f"every step is recorded once: {', '.join(done)}")
    reporter.expect(len(agenda) == 1, "the agenda, finished before the first cut, was not asked for again")
    reporter.expect(_repeated(almanac), f"the almanac, cut off, was asked again: {len(almanac)} calls, one key")
    reporter.expect(_repeated(mail), f"so was mail.send: {len(mail)} calls with {mail[0]['key']}")
    reporter.expect(len(stage.mails(root)) == 1, "and the Maildir holds exactly one mail for this occurrence")
