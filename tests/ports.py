"""Ports for what listens, ends, and listens there again."""

import socket
from random import SystemRandom

BELOW_EPHEMERAL = range(10_000, 30_000)


def lasting_port() -> int:
    """A free loopback port that the kernel gives to nobody who asks for any: it is still free after a kill."""
    chance = SystemRandom()
    for _ in range(100):
        port = chance.choice(BELOW_EPHEMERAL)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"100 ports of {BELOW_EPHEMERAL} are in use")
