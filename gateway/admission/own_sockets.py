"""The TCP sockets of this process, also those that the gRPC library has opened."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")


def own_sockets() -> Iterator[socket.socket]:
    """Yields a duplicate of each, to be closed by the caller; nothing on systems without /proc."""
    if not DESCRIPTORS.is_dir():
        return
    for entry in DESCRIPTORS.iterdir():
        with suppress(OSError):  # it was closed in the meantime
            if not entry.is_socket():
                continue
            duplicate = socket.socket(fileno=os.dup(int(entry.name)))
            if duplicate.family in {socket.AF_INET, socket.AF_INET6} and duplicate.type == socket.SOCK_STREAM:
                yield duplicate
            else:
                duplicate.close()
