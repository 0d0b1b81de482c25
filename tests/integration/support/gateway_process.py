"""The gateway as a process of its own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ordinaut.embedded.process import command
from tests.patience import PATIENCE

NOWHERE = "127.0.0.1:9"


@asynccontextmanager
async def a_gateway(
    database_url: str, listen: str = "127.0.0.1:0"
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, int]]]:
    """`python -m gateway` without scheduler and engine, on free ports or where it is to `listen`; what it announced."""
    process = await asyncio.create_subprocess_exec(
        *command([sys.executable, "-m", "gateway"], signal.SIGKILL),
        env={
            **os.environ,
            "ORDINAUT_DATABASE_URL": database_url,
            "ORDINAUT_GATEWAY_LISTEN": listen,
            "ORDINAUT_REST_LISTEN": "127.0.0.1:0",
            "ORDINAUT_GATEWAY_METRICS_PORT": "0",
            "ORDINAUT_SCHEDULER_ADDRESS": NOWHERE,
            "ORDINAUT_ENGINE_ADDRESSES": NOWHERE,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = json.loads(await process.stdout.readline())
        assert (line["service"], line["ready"]) == ("gateway", True)
        yield process, line["ports"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
