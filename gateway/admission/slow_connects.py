"""Slows down new connections from addresses that have misused theirs, before this process sees them.

A filter of the Linux kernel at the listening socket drops most of their first packets (SYN). The client's kernel
repeats them after 1, 3, 7 s, so that the address gets some connections a minute instead of hundreds. Connections that
exist are not affected: others behind the same address (NAT, a proxy) go on working, and connect slowly.
"""

import ctypes
import socket
import struct
import sys
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from gateway.admission.own_sockets import own_sockets

PASSED_SHARE = 0.1
ADDRESSES_MAX = 100
SO_ATTACH_FILTER = 26
INSTRUCTION = struct.Struct("=HBBI")
PROGRAM = struct.Struct("@HP")
LOAD_BYTE, LOAD_WORD, AND, EQUAL, GREATER, RETURN = 0x30, 0x20, 0x54, 0x15, 0x25, 0x06
NETWORK_HEADER, RANDOM = 0xFFF00000, 0xFFFFF038
VERSION_BITS, SOURCES = 0xF0, {4: 12, 6: 8}
FLAGS, SYN, SYN_OR_ACK = 13, 0x02, 0x12
WHOLE_PACKET, NOTHING, WORD = 0xFFFFFFFF, 0, 0xFFFFFFFF


def slow_down(port: int, addresses: Iterable[str]) -> int:
    """Slows down connections from these addresses to a port of this process, and no longer from others.

    Of IPv6 addresses the network of 64 bits counts. Returns the number of listening sockets; 0 on other systems than
    Linux, where nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return 0
    program = filter_program([ip_address(address) for address in addresses][-ADDRESSES_MAX:])
    buffer = ctypes.create_string_buffer(program, len(program))
    option = PROGRAM.pack(len(program) // INSTRUCTION.size, ctypes.addressof(buffer))
    listening = 0
    for each in own_sockets():
        with each:
            if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and each.getsockname()[1] == port:
                each.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, option)
                listening += 1
    return listening


def filter_program(addresses: Iterable[IPv4Address | IPv6Address]) -> bytes:
    """The instructions that drop most first packets of connections from the addresses, and nothing else."""
    return b"".join(
        [
            _load(LOAD_BYTE, FLAGS),
            INSTRUCTION.pack(AND, 0, 0, SYN_OR_ACK),
            *_unless(EQUAL, SYN, WHOLE_PACKET),
            _load(LOAD_WORD, RANDOM),
            *_unless(GREATER, int(PASSED_SHARE * WORD), WHOLE_PACKET),
            *(instruction for address in addresses for instruction in _drop(address)),
            _return(WHOLE_PACKET),
        ]
    )


def _drop(address: IPv4Address | IPv6Address) -> list[bytes]:
    """Instructions that end the program for packets from the address; those from others go on behind them."""
    packed = address.packed[:8]
    words = [int.from_bytes(packed[place : place + 4], "big") for place in range(0, len(packed), 4)]
    tests = [
        (_load(LOAD_BYTE, NETWORK_HEADER), INSTRUCTION.pack(AND, 0, 0, VERSION_BITS), address.version << 4),
        *(
            (_load(LOAD_WORD, NETWORK_HEADER + SOURCES[address.version] + 4 * place), b"", word)
            for place, word in enumerate(words)
        ),
    ]
    instructions = [_return(NOTHING)]
    for load, mask, value in reversed(tests):
        instructions.insert(0, INSTRUCTION.pack(EQUAL, 0, len(instructions), value))
        instructions[0:0] = [load, mask] if mask else [load]
    return instructions


def _load(size: int, offset: int) -> bytes:
    return INSTRUCTION.pack(size, 0, 0, offset)


def _unless(comparison: int, value: int, result: int) -> list[bytes]:
    return [INSTRUCTION.pack(comparison, 1, 0, value), _return(result)]


def _return(result: int) -> bytes:
    return INSTRUCTION.pack(RETURN, 0, 0, result)
