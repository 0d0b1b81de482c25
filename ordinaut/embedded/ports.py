"""Loopback ports for the services: chosen once, and kept while a service restarts."""

import socket
from dataclasses import dataclass
from typing import Self

LOOPBACK = "127.0.0.1"


class PortTakenError(RuntimeError):
    """The wanted port is in use."""


@dataclass(frozen=True)
class Port:
    """A port that belongs to this process until `close`; a child may listen on it.

    `_holder` is bound to it with SO_REUSEADDR and never listens: servers, which set that too, can bind beside it,
    but the kernel gives the port to no outgoing connection. `_mark` is a name that only one process can hold: two
    Ordinauts that start at once cannot both believe that a port is free. Source: socket(7), unix(7).
    """

    number: int
    _holder: socket.socket
    _mark: socket.socket

    @classmethod
    def take(cls, number: int) -> Self:
        """Takes exactly this port; 0: any free one.

        Raises:
            PortTakenError: somebody has it.
        """
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if number:  # else the kernel would offer ports that others hold in the same way
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
        """Takes this port when it is free, else any."""
        try:
            return cls.take(number)
        except PortTakenError:
            return cls.take(0)

    @property
    def address(self) -> str:
        """`host:port`, to listen on and to connect to."""
        return f"{LOOPBACK}:{self.number}"

    def close(self) -> None:
        """Gives the port back."""
        self._holder.close()
        self._mark.close()
