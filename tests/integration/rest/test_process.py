"""The REST face as part of the gateway's process: there when it is ready, gone in good order."""

import asyncio
import json
import signal

import aiohttp
import asyncpg

from ordinaut.store import identity
from tests.integration.support.gateway_process import a_gateway
from tests.patience import PATIENCE


async def test_a_gateway_that_shuts_down_ends_its_http_streams(database_url: str) -> None:
    """A watching browser is told to come back, and the process does not wait for it to go."""
    connection = await asyncpg.connect(database_url)
    token = await identity.create_project(connection, "default")
    await connection.close()
    async with a_gateway(database_url) as (process, ports):
        base, headers = f"http://127.0.0.1:{ports['rest']}", {"authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(base, headers=headers) as session:
            async with session.get("/v1/whoami") as answer:
                assert (await answer.json())["agent"]["name"] == "agents/admin"
            async with session.get("/v1/events:watch", headers={"accept": "text/event-stream"}) as stream:
                assert stream.status == 200
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(PATIENCE):
                    told = (await stream.content.read()).decode()
                    assert await process.wait() == 0
        event, data = told.strip().splitlines()[-2:]
        assert event == "event: error"
        assert json.loads(data.removeprefix("data: "))["error"]["code"] == 503
