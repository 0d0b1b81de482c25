"""The morning briefing, told as a story of about a minute: `python -m examples.morning_briefing.demo`.

It starts Ordinaut and three agents, shows a broken task being repaired, kills processes in the middle of a run, and
checks every promise on the way. It ends with 0 when all were kept and with 1 when one was not; at a terminal it goes on
serving until Ctrl-C.
"""

import asyncio
import signal
import sys

from examples.morning_briefing import checks, outage, repair
from examples.morning_briefing.reporter import CheckFailedError, Reporter
from examples.morning_briefing.stage import Stage, running_stage
from ordinaut.client import ApiError

STORY_SECONDS = 180.0


def main() -> None:
    """Tells the story and exits."""
    reporter = Reporter()
    try:
        asyncio.run(_run(reporter))
    except (KeyboardInterrupt, asyncio.CancelledError):
        reporter.info("interrupted; everything has stopped")
        sys.exit(130)
    except TimeoutError:
        reporter.fail(f"the story did not end within {STORY_SECONDS:.0f} s")
        sys.exit(1)
    except (CheckFailedError, ApiError) as failure:
        reporter.fail(str(failure))
        sys.exit(1)


async def _run(reporter: Reporter) -> None:
    story = asyncio.current_task()
    if story is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, story.cancel)
    reporter.section("PostgreSQL, Valkey, four services and three agents start")
    async with running_stage() as stage:
        reporter.info(f"ready: gRPC on {stage.system['grpc']}, health checks on {stage.system['rest']}")
        async with asyncio.timeout(STORY_SECONDS):
            await _run_scenes(stage, reporter)
        if reporter.is_terminal:
            await _keep_serving(stage, reporter)
    reporter.info("everything has stopped")


async def _run_scenes(stage: Stage, reporter: Reporter) -> None:
    """The whole story.

    Raises:
        BrokenPromiseError: a promise was not kept.
    """
    follower = await repair.create(stage, reporter, "follow_up")
    briefing = await repair.create_broken(stage, reporter)
    first = await outage.survive(stage, reporter, briefing.name)
    following = await checks.keep_time(stage, reporter, briefing.name, first)
    await checks.follow_up(stage, reporter, follower.name, [first, *following])
    checks.show_signs(stage, reporter)


async def _keep_serving(stage: Stage, reporter: Reporter) -> None:
    reporter.section("The briefing goes on every ten seconds; Ctrl-C ends it")
    reporter.info("in another terminal, in this folder, after `. .venv/bin/activate`:")
    reporter.detail(f"export ORDINAUT_ADDRESS={stage.system['grpc']} ORDINAUT_TOKEN={stage.system['token']}")
    reporter.detail("ordinaut run list")
    reporter.detail("ordinaut event watch")
    enough = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, enough.set)
    await enough.wait()


if __name__ == "__main__":
    main()
