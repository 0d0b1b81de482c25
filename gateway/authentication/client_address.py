"""Address and name of the client of a call, also for calls that the REST server of this process forwards.

REST calls reach the gRPC server over a loopback channel, so the peer address is the process itself. The REST server
therefore sends the client's address as metadata. Any gRPC client could send the same key and so be counted under
another address by the token throttle; hence the address counts only together with a random value that never leaves
this process.
"""

import hmac
import secrets
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any, Protocol
from urllib.parse import unquote

ADDRESS_KEY = "ordinaut-source"
PROOF_KEY = "ordinaut-source-proof"
AGENT_KEY = "ordinaut-source-agent"
_PROOF = secrets.token_hex(16)
Metadata = tuple[tuple[str, str], ...]


class Client(Protocol):
    """The parts of the context of a call that identify its client."""

    def invocation_metadata(self) -> Any:
        """The metadata, as pairs of key and value."""

    def peer(self) -> str:
        """The name that gRPC has for the client."""


@dataclass(frozen=True, slots=True)
class ForwardedRequest:
    """A REST request before it becomes a call; its metadata are those that the call will have."""

    metadata: Metadata

    def invocation_metadata(self) -> Metadata:
        """The metadata."""
        return self.metadata

    def peer(self) -> str:
        """Empty: the metadata have the address."""
        return ""


def source_metadata(address: str, user_agent: str) -> Metadata:
    """The metadata that the REST server adds for a client at `address`, an IP address or a host name."""
    return (ADDRESS_KEY, address), (AGENT_KEY, user_agent), (PROOF_KEY, _PROOF)


@lru_cache(maxsize=10_000)
def address_key(address: str) -> str:
    """The address under which a client is counted; of IPv6 its network of 64 bits, which one client usually has.

    >>> address_key("10.0.0.1"), address_key("2001:db8::1"), address_key("::ffff:10.0.0.1")
    ('10.0.0.1', '2001:db8::/64', '10.0.0.1')
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:  # a host name, or a unix socket
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))
    return str(parsed)


def client_address(context: Client) -> str:
    """The address of the client, without its port."""
    source = _source(context)
    return _peer_address(context.peer()) if source is None else source.get(ADDRESS_KEY, "")


def user_agent(context: Client) -> str:
    """How the client calls itself; empty if it does not."""
    source = _source(context)
    if source is not None:
        return source.get(AGENT_KEY, "")
    return next((str(value) for key, value in context.invocation_metadata() or () if key == "user-agent"), "")


def _peer_address(peer: str) -> str:
    """The address in gRPC's name of a peer.

    >>> _peer_address("ipv4:192.0.2.7:5000"), _peer_address("ipv6:%5B2001:db8::1%5D:5000"), _peer_address("unix:")
    ('192.0.2.7', '2001:db8::1', '')
    """
    return unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]")


def _source(context: Client) -> dict[str, str] | None:
    """What the REST server says about the client of a forwarded call; None for a direct one."""
    keys = {ADDRESS_KEY, AGENT_KEY, PROOF_KEY}
    metadata = {key: str(value) for key, value in context.invocation_metadata() or () if key in keys}
    proof = metadata.get(PROOF_KEY, "")
    return metadata if hmac.compare_digest(proof.encode(), _PROOF.encode()) else None
