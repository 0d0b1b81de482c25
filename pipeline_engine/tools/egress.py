"""The egress policy: which addresses the engine may connect to for tools.

The decision is made on the address that is connected to, in aiohttp's `socket_factory`, and never on a name. A check of
the name or of a separate DNS lookup can be bypassed: the name may resolve to another address at connect time (DNS
rebinding). Non-public addresses are denied unless `allow` contains them; `deny` takes precedence over `allow`.
"""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
CLOSED: Sequence[Network] = [
    ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16"),
        *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
]
"""Loopback, private, link-local, shared, reserved, multicast and documentation ranges (IANA registries)."""
_NAT64 = IPv6Network("64:ff9b::/96")
_PORT_MAX = 65_535


class EgressDeniedError(OSError):
    """The egress policy denies the address."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A range of addresses and of ports."""

    network: Network
    first_port: int = 0
    last_port: int = _PORT_MAX

    def matches(self, address: Address, port: int) -> bool:
        """Whether the rule applies to this address and port."""
        return address in self.network and self.first_port <= port <= self.last_port


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Parses comma-separated rules `CIDR[:port|:first-last]`; IPv6 with ports is written `[CIDR]:port`.

    >>> parse_rules("10.0.0.0/8:8000-8080")
    (Rule(network=IPv4Network('10.0.0.0/8'), first_port=8000, last_port=8080),)

    Raises:
        ValueError: a rule is malformed.
    """
    return tuple(_parse_rule(part.strip()) for part in text.split(",") if part.strip())


def _parse_rule(text: str) -> Rule:
    network, ports = text, ""
    if text.startswith("["):
        network, closing, ports = text[1:].partition("]")
        if not closing or (ports and not ports.startswith(":")):
            raise ValueError(f"an egress rule for IPv6 with ports must have the form [CIDR]:port (got {text!r})")
        ports = ports.removeprefix(":")
    elif text.count(":") == 1:
        network, _, ports = text.partition(":")
    first, dash, last = ports.partition("-")
    low = int(first) if first else 0
    high = int(last) if dash else (low if first else _PORT_MAX)
    if not 0 <= low <= high <= _PORT_MAX:
        raise ValueError(f"the ports of an egress rule must be from 0 to {_PORT_MAX}, in order (got {text!r})")
    return Rule(ip_network(network, strict=False), low, high)


@dataclass(frozen=True, slots=True)
class Egress:
    """The egress policy of one engine."""

    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()

    def permits(self, host: str, port: int) -> bool:
        """Whether a connection to this IP address and port is allowed."""
        forms = _forms(ip_address(host.partition("%")[0]))
        if any(rule.matches(form, port) for rule in self.deny for form in forms):
            return False
        if any(rule.matches(form, port) for rule in self.allow for form in forms):
            return True
        return not any(form in network for network in CLOSED for form in forms)

    def socket(self, address_info: tuple[object, ...]) -> socket.socket:
        """Creates the socket for a resolved address; aiohttp calls it as `socket_factory` before each connect.

        Raises:
            EgressDeniedError: the policy denies the address.
        """
        family, _, protocol, _, address = address_info
        if not isinstance(address, tuple) or not isinstance(family, int):
            raise EgressDeniedError("only TCP over IP is supported")
        host, port = str(address[0]), int(address[1])
        if not self.permits(host, port):
            raise EgressDeniedError(f"the egress policy denies {host} port {port}")
        return socket.socket(family, socket.SOCK_STREAM, protocol if isinstance(protocol, int) else 0)


def _forms(address: Address) -> list[Address]:
    """Returns the address and every IPv4 address embedded in it (mapped, NAT64, 6to4, Teredo).

    A rule must match an embedded IPv4 address too; otherwise `::ffff:127.0.0.1` would reach loopback.
    """
    if isinstance(address, IPv4Address):
        return [address]
    forms: list[Address] = [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    if address in _NAT64:
        forms.append(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour:
        forms.append(address.sixtofour)
    if address.teredo:
        forms.extend(address.teredo)
    return forms
