"""Without an internal token, a service listens on loopback only."""

import pytest

from ordinaut.errors import StartError
from ordinaut.rpc.server import internal_guard


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "[::1]", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    internal_guard("", f"{host}:50053")


@pytest.mark.parametrize("token", ["", " "])
@pytest.mark.parametrize("host", ["0.0.0.0", "", "[::]", "10.1.2.3", "[fe80::1]", "engine.internal", "localhost.evil"])
def test_other_addresses_need_one(host: str, token: str) -> None:
    with pytest.raises(StartError, match="ORDINAUT_INTERNAL_TOKEN is required") as refused:
        internal_guard(token, f"{host}:50053")
    assert "\n" not in str(refused.value)
    internal_guard("secret", f"{host}:50053")
