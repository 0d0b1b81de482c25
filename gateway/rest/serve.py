"""The REST face of one gateway process, from its channel to its listener."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from gateway.health import Components
from gateway.rest.application import application
from gateway.rest.server import serving
from gateway.rest.transcoding.transcoder import Transcoder
from gateway.services import DESCRIPTORS
from ordinaut.limits import MAX_MESSAGE_BYTES

ANYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - recognised, not listened on
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


@asynccontextmanager
async def rest_face(components: Components, grpc_listen: str, grpc_port: int, listen: str) -> AsyncIterator[int]:
    """Serves HTTP on `listen` in front of the gRPC server at `grpc_port`; gives the port that it listens on.

    Raises:
        OSError: the address cannot be listened on.
    """
    host = grpc_listen.rpartition(":")[0]
    target = f"{ANYWHERE.get(host, host)}:{grpc_port}"
    async with (
        grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel,
        serving(application(components, Transcoder(DESCRIPTORS, channel)), listen) as port,
    ):
        yield port
