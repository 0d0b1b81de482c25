"""Address and name of the client of a call, also for calls that the REST server of this process forwards.

REST calls reach the gRPC server over a loopback channel, so the peer address is the process itself. The REST server
therefore sends the client's address as metadata. Any gRPC client could send the same key and so be counted under
another address by the token throttle; hence the address counts only together with a random value that never leaves
this process.
"""

import hmac
import secrets
from urllib.parse import unquote

from ordinaut.rpc.interceptor import Context

ADDRESS_KEY = "ordinaut-source"
PROOF_KEY = "ordinaut-source-proof"
AGENT_KEY = "ordinaut-source-agent"
_PROOF = secrets.token_hex(16)


def source_metadata(address: str, user_agent: str) -> tuple[tuple[str, str], ...]:
    """The metadata that the REST server adds for a client at `address`, an IP address or a host name."""
    return (ADDRESS_KEY, address), (AGENT_KEY, user_agent), (PROOF_KEY, _PROOF)


def client_address(context: Context) -> str:
    """The address of the client, without its port."""
    source = _source(context)
    return _peer_address(context.peer()) if source is None else source.get(ADDRESS_KEY, "")


def user_agent(context: Context) -> str:
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


def _source(context: Context) -> dict[str, str] | None:
    """What the REST server says about the client of a forwarded call; None for a direct one."""
    keys = {ADDRESS_KEY, AGENT_KEY, PROOF_KEY}
    metadata = {key: str(value) for key, value in context.invocation_metadata() or () if key in keys}
    proof = metadata.get(PROOF_KEY, "")
    return metadata if hmac.compare_digest(proof.encode(), _PROOF.encode()) else None
