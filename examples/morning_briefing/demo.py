"""The morning briefing, told as a story of about a minute: `python -m examples.morning_briefing.demo`.

It starts Ordinaut and three agents, shows a broken task being repaired, kills processes in the middle of a run, and
checks every promise on the way. It ends with 0 when all were kept and with 1 when one was not; at a terminal it goes on
serving until Ctrl-C.
"""

import asyncio
import signal
import sys

from examples.morning_briefing import aftermath, outage, repair
from examples.morning_briefing.narrator import BrokenPromiseError, Narrator
from examples.morning_briefing.stage import Stage, raised
from ordinaut.client import ApiError

STORY_SECONDS = 180.0


def main() -> None:
    """Tells the story and exits."""
    narrator = Narrator()
    try:
        asyncio.run(_live(narrator))
    except (KeyboardInterrupt, asyncio.CancelledError):
        narrator.tell("interrupted; everything has stopped")
        sys.exit(130)
    except TimeoutError:
        narrator.fail(f"the story did not end within {STORY_SECONDS:.0f} s")
        sys.exit(1)
    except (BrokenPromiseError, ApiError) as failure:
        narrator.fail(str(failure))
        sys.exit(1)


async def _live(narrator: Narrator) -> None:
    story = asyncio.current_task()
    if story is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, story.cancel)
    narrator.chapter("PostgreSQL, Valkey, four services and three agents start")
    async with raised() as stage:
        narrator.tell(f"ready: gRPC on {stage.system['grpc']}, health checks on {stage.system['rest']}")
        async with asyncio.timeout(STORY_SECONDS):
            await _tell(stage, narrator)
        if narrator.has_audience:
            await _serve_on(stage, narrator)
    narrator.tell("everything has stopped")


async def _tell(stage: Stage, narrator: Narrator) -> None:
    """The whole story.

    Raises:
        BrokenPromiseError: a promise was not kept.
    """
    follower = await repair.create(stage, narrator, "follow_up")
    briefing = await repair.create_broken(stage, narrator)
    first = await outage.survive(stage, narrator, briefing.name)
    following = await aftermath.keep_time(stage, narrator, briefing.name, first)
    await aftermath.follow_up(stage, narrator, follower.name, [first, *following])
    aftermath.show_signs(stage, narrator)


async def _serve_on(stage: Stage, narrator: Narrator) -> None:
    narrator.chapter("The briefing goes on every ten seconds; Ctrl-C ends it")
    narrator.tell("in another terminal, in this folder, after `. .venv/bin/activate`:")
    narrator.detail(f"export ORDINAUT_ADDRESS={stage.system['grpc']} ORDINAUT_TOKEN={stage.system['token']}")
    narrator.detail("ordinaut run list")
    narrator.detail("ordinaut event watch")
    enough = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, enough.set)
    await enough.wait()


if __name__ == "__main__":
    main()
