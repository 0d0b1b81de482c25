"""HTTP/2 frames written by hand, to do what gRPC libraries do not."""

import select
import socket
import time
from contextlib import suppress

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS = 0, 1, 3, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1
CANCEL = (8).to_bytes(4, "big")
BATCH = 20


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name: str, value: str) -> bytes:
    """A header field without indexing and without Huffman coding. Source: RFC 7541, 6.2.2."""
    return b"\0" + _text(name) + _text(value)


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, out = len(data) - 127, bytearray([127])
    while rest >= 128:
        out.append(rest % 128 + 128)
        rest //= 128
    return bytes([*out, rest]) + data


def call(path: str, token: str = "") -> bytes:
    """The header block of a call."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")]
    fields += [("te", "trailers"), ("content-type", "application/grpc")]
    fields += [("authorization", f"Bearer {token}")] if token else []
    return b"".join(literal(*field) for field in fields)


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
    return connection


def acknowledge_settings(connection: socket.socket) -> None:
    """Reads the first frame of a server and answers it."""
    head = connection.recv(9, socket.MSG_WAITALL)
    connection.recv(int.from_bytes(head[:3], "big"), socket.MSG_WAITALL)
    connection.sendall(frame(SETTINGS, ACK, 0, b""))


def is_open(connection: socket.socket, seconds: float) -> bool:
    """Whether the server has not closed the connection after some time; discards what it sends."""
    deadline = time.monotonic() + seconds
    with suppress(ConnectionError):
        while (left := deadline - time.monotonic()) > 0:
            if select.select([connection], [], [], left)[0] and not connection.recv(65536):
                return False
        return True
    return False


def resets(port: int, count: int, path: str, token: str = "", seconds: float = 60.0) -> bool:
    """Starts calls and ends each at once; returns whether the connection is open when the server has seen them."""
    block = call(path, token)
    with connect(port) as connection, suppress(ConnectionError):
        acknowledge_settings(connection)
        for first in range(0, count, BATCH):
            streams = [2 * number + 1 for number in range(first, first + BATCH)]
            frames = [frame(HEADERS, END_HEADERS, each, block) + frame(RESET, 0, each, CANCEL) for each in streams]
            connection.sendall(b"".join(frames))
            if not is_open(connection, 0.0):
                return False
        return is_open(connection, seconds)
    return False
