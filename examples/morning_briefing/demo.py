"""The morning briefing demo, which takes about a minute: `python -m examples.morning_briefing.demo`.

It starts Ordinaut and three agents, repairs an invalid task, kills processes during a run, and checks the results. The
exit code is 0 if all checks pass, else 1. In a terminal it continues to serve until Ctrl-C.
"""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import Any

from examples.morning_briefing import checks, outage, repair
from examples.morning_briefing.reporter import CheckFailedError, Reporter
from examples.morning_briefing.stage import Stage, running_stage
from ordinaut.client import ApiError

DEMO_SECONDS = 180.0
STOP_SECONDS = 5.0


def main() -> None:
    """Runs the demo and exits."""
    reporter = Reporter()
    try:
        asyncio.run(_run(reporter))
    except (KeyboardInterrupt, asyncio.CancelledError):
        reporter.info("interrupted; everything has stopped")
        sys.exit(130)
    except TimeoutError:
        reporter.fail(f"the demo did not finish within {DEMO_SECONDS:.0f} s")
        sys.exit(1)
    except (CheckFailedError, ApiError) as failure:
        reporter.fail(str(failure))
        sys.exit(1)


async def _run(reporter: Reporter) -> None:
    interrupted, demo = asyncio.Event(), asyncio.current_task()
    if demo is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, demo.cancel)
    reporter.section("Starting PostgreSQL, Valkey, four services and three agents")
    async with running_stage() as stage:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
        reporter.info(f"ready: gRPC on {stage.system['grpc']}, health checks on {stage.system['rest']}")
        async with asyncio.timeout(DEMO_SECONDS):
            await _until(interrupted, _run_scenes(stage, reporter))
        if reporter.is_terminal:
            await _keep_serving(stage, reporter)
    reporter.info("everything has stopped")


async def _run_scenes(stage: Stage, reporter: Reporter) -> None:
    """Runs all scenes in order.

    Raises:
        CheckFailedError: a check failed.
    """
    follower = await repair.create(stage, reporter, "follow_up")
    briefing = await repair.create_broken(stage, reporter)
    first = await outage.survive(stage, reporter, briefing.name)
    following = await checks.keep_time(stage, reporter, briefing.name, first)
    await checks.follow_up(stage, reporter, follower.name, [first, *following])
    checks.show_signs(stage, reporter)


async def _until(interrupted: asyncio.Event, story: Coroutine[Any, Any, None]) -> None:
    """Runs the story unless it is interrupted: its cancellation alone could be lost in a call that just ends."""
    scenes = asyncio.create_task(story)
    stop = asyncio.create_task(interrupted.wait())
    try:
        await asyncio.wait({scenes, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not scenes.done():
            raise asyncio.CancelledError
        scenes.result()
    finally:
        for task in (scenes, stop):
            task.cancel()
        await asyncio.wait({scenes, stop}, timeout=STOP_SECONDS)


async def _keep_serving(stage: Stage, reporter: Reporter) -> None:
    reporter.section("The briefing continues every ten seconds; press Ctrl-C to stop")
    reporter.info("in another terminal, in this folder, after `. .venv/bin/activate`:")
    reporter.detail(f"export ORDINAUT_ADDRESS={stage.system['grpc']} ORDINAUT_TOKEN={stage.system['token']}")
    reporter.detail("ordinaut run list")
    reporter.detail("ordinaut event watch")
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()


if __name__ == "__main__":
    main()
