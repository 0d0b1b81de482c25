"""Where a call comes from. Behind the REST face of this process stand its callers, not the process itself."""

import hmac
import secrets

from ordinaut.rpc.interceptor import Context

SOURCE_KEY = "ordinaut-source"
PROOF_KEY = "ordinaut-source-proof"
_PROOF = secrets.token_hex(16)  # known inside this process only: nobody else can name another source than their own


def source_metadata(address: str) -> tuple[tuple[str, str], ...]:
    """What the REST face shows for a caller at `address`, an IP address or a name of it."""
    return (SOURCE_KEY, address), (PROOF_KEY, _PROOF)


def source_of(context: Context) -> str:
    """The address behind a call, without its port."""
    shown = {key: value for key, value in context.invocation_metadata() or () if key in {SOURCE_KEY, PROOF_KEY}}
    if hmac.compare_digest(str(shown.get(PROOF_KEY, "")).encode(), _PROOF.encode()):
        return str(shown.get(SOURCE_KEY, ""))
    return context.peer().rpartition(":")[0]
