"""Kills a worker and an engine during a run, and the next worker while a mail is being sent."""

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
    """Watches the first run of the task, kills processes twice, and checks that nothing is lost or duplicated.

    Raises:
        CheckFailedError: a step or a mail is missing or duplicated.
    """
    reporter.section("The briefing runs; processes are killed twice")
    run = await until(lambda: _first(stage, task), FIRST_RUN_SECONDS, "the first briefing starts")
    reporter.info(f"{run.name} starts, scheduled for {run.scheduled_time.ToJsonString()}")
    async for step in runs.new_steps(stage.owner, run.name):
        reporter.info(runs.described(step))
        if step.path == "agenda":
            await _kill_during_the_almanac_call(stage, reporter)
        elif step.path == "almanac":
            await _kill_before_the_mail_is_confirmed(stage, reporter)
    ended = await runs.get(stage.owner, run.name)
    _verify(stage, reporter, ended)
    return ended


async def _first(stage: Stage, task: str) -> Run | None:
    task_runs = await runs.of_task(stage.owner, task)
    return task_runs[0] if task_runs else None


async def _kill_during_the_almanac_call(stage: Stage, reporter: Reporter) -> None:
    async def called() -> bool | None:
        return bool(stage.calls("almanac")) or None

    await until(called, CALL_SECONDS, "the almanac is called")
    pids = [*stage.system["pids"]["worker"], *stage.system["pids"]["pipeline_engine"]]
    _kill(pids)
    reporter.info(f"kill -9 of worker and engine (pids {_list(pids)}) during the call of the almanac")


async def _kill_before_the_mail_is_confirmed(stage: Stage, reporter: Reporter) -> None:
    async def delivered() -> bool | None:
        return bool(stage.mails("")) or None

    await until(delivered, CALL_SECONDS, "the mail is delivered")
    pids = await _new_workers(stage)
    _kill(pids)
    reporter.info(f"kill -9 of the new worker (pid {_list(pids)}): the mail is sent but not confirmed")


async def _new_workers(stage: Stage) -> list[int]:
    """The pids of the workers that took over; the killed one may still be listed until its lease expires."""
    answer = await stage.admin.system.ListWorkers(ListWorkersRequest())
    pids = [int(worker.host.rpartition(":")[2]) for worker in answer.workers]
    return [pid for pid in pids if pid not in stage.system["pids"]["worker"]]


def _kill(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def _repeated(calls: list[dict[str, Any]]) -> bool:
    """Whether there is more than one call, all with the same key."""
    return len(calls) > 1 and len({call["key"] for call in calls}) == 1


def _list(pids: list[int]) -> str:
    return ", ".join(str(pid) for pid in pids)


def _verify(stage: Stage, reporter: Reporter, run: Run) -> None:
    root = runs.root(run)
    agenda, almanac, mail = (stage.calls(agent, root) for agent in ("calendar", "almanac", "mail"))
    reporter.expect(run.state == Run.State.SUCCEEDED, f"the run succeeded after {run.claims} claims by workers")
    done = [step.path for step in run.steps if step.state == StepRun.State.SUCCEEDED]
    reporter.expect(len(done) == len(set(done)), f"every step is recorded once: {', '.join(done)}")
    reporter.expect(len(agenda) == 1, "the agenda, completed before the first kill, was not called again")
    reporter.expect(_repeated(almanac), f"the interrupted almanac call was repeated: {len(almanac)} calls with one key")
    reporter.expect(_repeated(mail), f"mail.send was repeated too: {len(mail)} calls with {mail[0]['key']}")
    reporter.expect(len(stage.mails(root)) == 1, "the Maildir contains exactly one mail for this occurrence")
