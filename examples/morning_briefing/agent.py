"""An agent process: listens, registers its tools, and serves until SIGTERM."""

import asyncio
import json
import signal
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from examples.morning_briefing.registration import register
from examples.morning_briefing.tool_server import CallLog, Offer, application
from ordinaut.client import Client

HOST = "127.0.0.1"


def add_options(parser: ArgumentParser) -> None:
    """Adds the options that all agents of this example share."""
    parser.add_argument("--calls", type=Path, help="file to which each received call is appended as a JSON line")
    parser.add_argument(
        "--answer-delay", type=float, default=0.0, help="delay of every response, in seconds (default 0)"
    )


def serve(name: str, offers: Sequence[Offer], options: Namespace) -> None:
    """Registers `offers` with the gateway of ORDINAUT_ADDRESS and ORDINAUT_TOKEN, and serves them.

    Once they are registered, it prints one line of JSON: `{"agent": …, "ready": true, "url": …}`.
    """
    asyncio.run(_run(name, offers, options))


async def _run(name: str, offers: Sequence[Offer], options: Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runner = web.AppRunner(application(offers, CallLog(options.calls), options.answer_delay), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, 0)
        await site.start()
        url = f"http://{HOST}:{runner.addresses[0][1]}"
        async with Client.from_env() as client:
            await register(client, offers, url)
        print(json.dumps({"agent": name, "ready": True, "url": url}), flush=True)
        await stopping.wait()
    finally:
        await runner.cleanup()
