"""Disconnects clients that start calls and end them before their request arrives ("rapid reset").

Each such call costs the server more than the client. No option of the gRPC library limits them: one ends a call that
was counted against the limit of concurrent calls, so the next one may start. What stops them is closing the connection.
The library parses 100 000 such calls a second, so a connection with 20 000 of them costs 0.2 s before it is closed:
therefore the address also connects slowly for a while.
"""

import asyncio
import socket
import time
from collections import OrderedDict, deque
from contextlib import suppress

from gateway.admission.own_sockets import own_sockets
from gateway.admission.slow_connects import slow_down
from ordinaut.telemetry import get_logger

log = get_logger()
CALLS_MAX = 200
WINDOW_SECONDS = 10.0
STRICT_SECONDS = 60.0
LATER_SECONDS = 0.1
"""A timer of the loop may run a millisecond early; then nothing would end the filter."""
PEERS_MAX = 1_000
DISCARDED_BYTES = 1024 * 1024


class AbandonedCalls:
    """Counts abandoned calls by connection; the connection of one with 200 in ten seconds is shut down.

    For a minute afterwards every connection from its address is shut down at its first abandoned call, and connections
    from the address to `port`, which is known when the server listens, are slowed down.
    """

    port: int | None = None

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._strict_until: OrderedDict[str, float] = OrderedDict()
        self._shut_down: OrderedDict[str, None] = OrderedDict()

    def note(self, peer: str) -> None:
        """Counts an abandoned call of `peer`, such as `ipv4:127.0.0.1:41234`."""
        endpoint = _endpoint(peer)
        if endpoint is None or peer in self._shut_down:  # calls that had begun before
            return
        now, address = time.monotonic(), endpoint[0]
        times = self._times.setdefault(peer, deque(maxlen=CALLS_MAX))
        self._times.move_to_end(peer)
        times.append(now)
        full = len(times) == CALLS_MAX and now - times[0] <= WINDOW_SECONDS
        if full or self._strict_until.get(address, 0.0) > now:
            self._times.pop(peer, None)
            self._shut_down[peer] = None
            if full:
                self._be_strict(address, now)
            log.warning("connection_shut_down", address=address, sockets=_shut_down(endpoint))
        for table in (self._times, self._strict_until, self._shut_down):
            if len(table) > PEERS_MAX:
                table.popitem(last=False)

    def _be_strict(self, address: str, now: float) -> None:
        self._strict_until[address] = now + STRICT_SECONDS
        self._strict_until.move_to_end(address)
        self._slow_down()
        asyncio.get_running_loop().call_later(STRICT_SECONDS + LATER_SECONDS, self._slow_down)

    def _slow_down(self) -> None:
        """Slows down the addresses that are treated strictly now."""
        if self.port is None:
            return
        now = time.monotonic()
        addresses = [address for address, until in self._strict_until.items() if until > now]
        try:
            slow_down(self.port, addresses)
        except OSError as failure:
            log.warning("connections_not_slowed_down", failure=str(failure))


def _shut_down(endpoint: tuple[str, int]) -> int:
    """Shuts down the connection of this process with a peer; returns the number of sockets that were found."""
    return sum(_is_shut_down(each, endpoint) for each in own_sockets())


def _is_shut_down(connection: socket.socket, endpoint: tuple[str, int]) -> bool:
    with connection:
        try:
            host, port, *_ = connection.getpeername()
            if (host.removeprefix("::ffff:"), port) != endpoint:
                return False
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:  # it listens, or was closed in the meantime
            return False
        _discard(connection)
        return True


def _discard(connection: socket.socket) -> None:
    """Discards what has arrived: a connection that is shut down is still read to its end."""
    with suppress(OSError):
        while connection.recv(DISCARDED_BYTES, socket.MSG_DONTWAIT | socket.MSG_TRUNC):
            continue


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
