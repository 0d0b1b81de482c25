"""The network address that a call comes from, also for calls that the REST server of this process forwards.

REST calls reach the gRPC server over a loopback channel, so the peer address is the process itself. The REST server
therefore sends the client's address as metadata. Any gRPC client could send the same key and so be counted under
another address by the token throttle; hence the address counts only together with a random value that never leaves
this process.
"""

import hmac
import secrets

from ordinaut.rpc.interceptor import Context

ADDRESS_KEY = "ordinaut-source"
PROOF_KEY = "ordinaut-source-proof"
_PROOF = secrets.token_hex(16)


def address_metadata(address: str) -> tuple[tuple[str, str], ...]:
    """The metadata that the REST server adds for a client at `address`, an IP address or a host name."""
    return (ADDRESS_KEY, address), (PROOF_KEY, _PROOF)


def client_address(context: Context) -> str:
    """The address of the client, without its port."""
    metadata = {key: value for key, value in context.invocation_metadata() or () if key in {ADDRESS_KEY, PROOF_KEY}}
    if hmac.compare_digest(str(metadata.get(PROOF_KEY, "")).encode(), _PROOF.encode()):
        return str(metadata.get(ADDRESS_KEY, ""))
    return context.peer().rpartition(":")[0]
