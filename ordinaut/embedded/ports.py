"""Loopback ports for the services, reserved once and kept while a service restarts."""

import socket
from dataclasses import dataclass
from typing import Self

LOOPBACK = "127.0.0.1"


class PortTakenError(RuntimeError):
    """The requested port is in use."""


@dataclass(frozen=True)
class Port:
    """A port that this process reserves until `close`; child processes may listen on it.

    `_holder` is bound to the port with SO_REUSEADDR and never listens: a server, which also sets SO_REUSEADDR, can bind
    to the same port, but the kernel does not assign it to outgoing connections. `_mark` is a socket in the abstract
    namespace, which only one process can bind: of two instances that start at the same time, only one gets the port.
    Source: socket(7), unix(7).
    """

    number: int
    _holder: socket.socket
    _mark: socket.socket

    @classmethod
    def take(cls, number: int) -> Self:
        """Reserves exactly this port; 0: any free port.

        Raises:
            PortTakenError: the port is in use.
        """
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if number:  # for port 0 it would let the kernel choose a port that another instance reserves
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((LOOPBACK, number))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            chosen = int(holder.getsockname()[1])
            mark.bind(f"\0ordinaut-port-{chosen}")
        except OSError as failure:
            holder.close()
            mark.close()
            raise PortTakenError(f"port {number} is in use") from failure
        return cls(chosen, holder, mark)

    @classmethod
    def prefer(cls, number: int) -> Self:
        """Reserves this port if it is free, else any free port."""
        try:
            return cls.take(number)
        except PortTakenError:
            return cls.take(0)

    @property
    def address(self) -> str:
        """`host:port`, for servers and clients."""
        return f"{LOOPBACK}:{self.number}"

    def close(self) -> None:
        """Releases the port."""
        self._holder.close()
        self._mark.close()
