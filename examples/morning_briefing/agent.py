"""The life of an agent process: listen, register its tools, serve until SIGTERM."""

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
    """What every agent of this example can be told."""
    parser.add_argument("--calls", type=Path, help="append each received call to this file, a JSON line each")
    parser.add_argument("--answer-delay", type=float, default=0.0, help="seconds to hold back every answer")


def serve(name: str, offers: Sequence[Offer], options: Namespace) -> None:
    """Registers `offers` with the gateway that ORDINAUT_ADDRESS and ORDINAUT_TOKEN name, and serves them.

    Once registered, one JSON line goes to standard output: `{"agent": …, "ready": true, "url": …}`.
    """
    asyncio.run(_live(name, offers, options))


async def _live(name: str, offers: Sequence[Offer], options: Namespace) -> None:
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
