"""A typed asyncio client: `async with Client(address, token) as client: await client.tasks.GetTask(…)`."""

from ordinaut.client.client import Client
from ordinaut.client.errors import ApiError, Fix, Violation

__all__ = ["ApiError", "Client", "Fix", "Violation"]
