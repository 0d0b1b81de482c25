"""A tool: an HTTP endpoint that returns a text in capitals, and its registration."""

import asyncio
import sys

from aiohttp import web
from google.protobuf import json_format

from ordinaut.client import ApiError, Client
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest

SHOUT = {
    "description": "Returns a text in capitals.",
    "effect": "READ",
    "input_schema": {
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": 1000}},
        "required": ["text"],
        "additionalProperties": False,
    },
    "output_schema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "timeouts": {"run": "5s"},
}


async def shout(request: web.Request) -> web.Response:
    """Handles one call. The body is the rendered input, which matches the input schema."""
    arguments = await request.json()
    print(f"call {request.headers['Idempotency-Key']}", flush=True)
    return web.json_response({"text": arguments["text"].upper()})


async def register(url: str) -> None:
    """Registers the tool as tools/text.shout, unless it exists; needs the scope tools:write."""
    tool = json_format.ParseDict({**SHOUT, "http": {"method": "POST", "url": url}}, Tool())
    async with Client.from_env() as client:
        try:
            await client.tools.CreateTool(CreateToolRequest(tool=tool, tool_id="text.shout"))
        except ApiError as error:
            if error.code != "ALREADY_EXISTS":
                raise


async def main(port: int) -> None:
    """Serves the tool on a port of this machine until the process ends."""
    application = web.Application()
    application.router.add_post("/shout", shout)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await register(f"http://127.0.0.1:{port}/shout")
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
