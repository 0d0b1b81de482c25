"""The network address that a call comes from, also for calls that the REST server of this process forwards.

REST calls reach the gRPC server over a loopback channel, so the peer address is the process itself. The REST server
therefore sends the client's address as metadata. Any gRPC client could send the same key and so be counted under
another address by the token throttle; hence the address counts only together with a random value that never leaves
this process.
"""

import hmac
import secrets
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote

from ordinaut.rpc.interceptor import Context

ADDRESS_KEY = "ordinaut-source"
PROOF_KEY = "ordinaut-source-proof"
_PROOF = secrets.token_hex(16)


def address_metadata(address: str) -> tuple[tuple[str, str], ...]:
    """The metadata that the REST server adds for a client at `address`, an IP address or a host name."""
    return (ADDRESS_KEY, address), (PROOF_KEY, _PROOF)


def client_address(context: Context) -> str:
    """The address of the client, without its port; of IPv6 its network of 64 bits, which one client usually has."""
    metadata = {key: value for key, value in context.invocation_metadata() or () if key in {ADDRESS_KEY, PROOF_KEY}}
    if hmac.compare_digest(str(metadata.get(PROOF_KEY, "")).encode(), _PROOF.encode()):
        return address_key(str(metadata.get(ADDRESS_KEY, "")))
    return address_key(unquote(context.peer().partition(":")[2].rpartition(":")[0]).strip("[]"))


@lru_cache(maxsize=10_000)
def address_key(address: str) -> str:
    """The address, or its network, under which a client is counted.

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
