"""Registers the tools of an agent with the gateway."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import ParseDict

from examples.morning_briefing.tool_server import Offer
from ordinaut.client import ApiError, Client
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest, UpdateToolRequest


async def register(client: Client, offers: Sequence[Offer], url: str) -> None:
    """Creates each tool, or updates an existing one with the current address.

    Raises:
        ApiError: the gateway rejects a tool.
    """
    for offer in offers:
        tool = as_tool(offer, url)
        try:
            await client.tools.CreateTool(CreateToolRequest(tool=tool))
        except ApiError as error:
            if error.code != "ALREADY_EXISTS":
                raise
            await client.tools.UpdateTool(UpdateToolRequest(tool=tool))


def as_tool(offer: Offer, url: str) -> Tool:
    """The tool definition for the registry; the tool is called by POST at `<url>/<name>`."""
    document: Mapping[str, Any] = {
        "name": f"tools/{offer.name}",
        "description": offer.description,
        "input_schema": offer.input_schema,
        "output_schema": offer.output_schema,
        "effect": offer.effect,
        "http": {"method": "POST", "url": f"{url}/{offer.name}"},
    }
    return ParseDict(dict(document), Tool())
