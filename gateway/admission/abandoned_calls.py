"""Disconnects clients that start calls and end them before their request arrives ("rapid reset").

Each such call costs the server more than the client. No option of the gRPC library limits them: one ends a call that
was counted against the limit of concurrent calls, so the next one may start. What stops them is closing the connection.
"""

import os
import socket
import time
from collections import OrderedDict, deque
from pathlib import Path

from ordinaut.telemetry import get_logger

log = get_logger()
CALLS_MAX = 200
WINDOW_SECONDS = 10.0
STRICT_SECONDS = 60.0
PEERS_MAX = 1_000
DESCRIPTORS = Path("/proc/self/fd")


class AbandonedCalls:
    """Counts abandoned calls by connection; the connection of one with 200 in ten seconds is shut down.

    For a minute afterwards every connection from its address is shut down at its first abandoned call.
    """

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._strict_until: OrderedDict[str, float] = OrderedDict()
        self._shut_down: OrderedDict[str, None] = OrderedDict()

    def note(self, peer: str) -> None:
        """Counts an abandoned call of `peer`, such as `ipv4:127.0.0.1:41234`."""
        if peer in self._shut_down:  # calls that had begun before
            return
        now = time.monotonic()
        address = peer.rpartition(":")[0]
        times = self._times.setdefault(peer, deque(maxlen=CALLS_MAX))
        self._times.move_to_end(peer)
        times.append(now)
        full = len(times) == CALLS_MAX and now - times[0] <= WINDOW_SECONDS
        if full or self._strict_until.get(address, 0.0) > now:
            self._times.pop(peer, None)
            if full:
                self._strict_until[address] = now + STRICT_SECONDS
            self._shut_down[peer] = None
            log.warning("connection_shut_down", address=address, sockets=shut_down(peer))
        for table in (self._times, self._strict_until, self._shut_down):
            if len(table) > PEERS_MAX:
                table.popitem(last=False)


def shut_down(peer: str) -> int:
    """Shuts down the connection of this process with `peer`; returns the number of sockets that were found."""
    peer_endpoint = _endpoint(peer)
    if peer_endpoint is None:
        return 0
    return sum(_shut_down(int(entry.name), peer_endpoint) for entry in DESCRIPTORS.iterdir() if _is_socket(entry))


def _is_socket(entry: Path) -> bool:
    try:
        return entry.is_socket()
    except OSError:  # closed in the meantime
        return False


def _shut_down(descriptor: int, peer_endpoint: tuple[str, int]) -> bool:
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            peer = connection.getpeername()
            if not isinstance(peer, tuple) or (peer[0].removeprefix("::ffff:"), peer[1]) != peer_endpoint:
                return False
            connection.shutdown(socket.SHUT_RDWR)
            return True
    except OSError:  # it listens, or was closed in the meantime
        return False


def _endpoint(peer: str) -> tuple[str, int] | None:
    """The host and the port of a peer; None for one without, such as a unix socket.

    >>> _endpoint("ipv4:127.0.0.1:41234"), _endpoint("ipv6:%5B::1%5D:41234"), _endpoint("unix:")
    (('127.0.0.1', 41234), ('::1', 41234), None)
    """
    kind, _, rest = peer.partition(":")
    host, _, port = rest.replace("%5B", "[").replace("%5D", "]").rpartition(":")
    if kind not in {"ipv4", "ipv6"} or not port.isdecimal():
        return None
    return host.strip("[]").removeprefix("::ffff:"), int(port)
