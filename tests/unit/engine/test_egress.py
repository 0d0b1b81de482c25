"""The egress policy."""

import pytest

from pipeline_engine.tools.egress import Egress, EgressDeniedError, parse_rules

CLOSED = [
    *("127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "168.63.129.16"),
    *("100.64.0.1", "198.18.0.1", "240.0.0.1", "255.255.255.255", "224.0.0.1", "::1", "::", "::ffff:127.0.0.1"),
    *("fd00::1", "fe80::1%eth0", "ff02::1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "64:ff9b::7f00:1", "::127.0.0.1"),
    *("2001:0:7f00:1::", "64:ff9b:1::1", "2001:db8::1", "fec0::1"),
]


@pytest.mark.parametrize("address", CLOSED)
def test_non_public_addresses_are_denied(address: str) -> None:
    """Loopback, private, link-local, shared, multicast, reserved; also as NAT64, 6to4, Teredo and mapped addresses."""
    assert not Egress().permits(address, 443)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    """Also as NAT64 and mapped addresses."""
    assert Egress().permits(address, 443)


def test_allow_permits_and_deny_takes_precedence() -> None:
    """Rules consist of networks and ports; deny also applies to public addresses."""
    egress = Egress(
        parse_rules("127.0.0.0/8:8000-8999, [::1/128]:9000, 10.0.0.0/8, fd00::/8"),
        parse_rules("127.0.0.1:8500,1.1.1.1/32:80"),
    )
    assert egress.permits("127.0.0.1", 8000)
    assert egress.permits("::ffff:127.0.0.1", 8000), "the mapped form is the same address"
    assert not egress.permits("127.0.0.1", 7999)
    assert not egress.permits("127.0.0.1", 8500)
    assert not egress.permits("::ffff:127.0.0.1", 8500)
    assert egress.permits("::1", 9000)
    assert not egress.permits("::1", 9001)
    assert egress.permits("10.9.9.9", 1)
    assert egress.permits("fd00::7", 1)
    assert egress.permits("1.1.1.1", 443)
    assert not egress.permits("1.1.1.1", 80)


@pytest.mark.parametrize("text", ["nonsense", "10.0.0.0/8:x", "10.0.0.0/8:9-1", "10.0.0.0/8:70000", "[::1"])
def test_malformed_rules_are_rejected(text: str) -> None:
    """A typo in a setting prevents the start."""
    with pytest.raises(ValueError, match=r"."):
        parse_rules(text)


def test_no_socket_is_created_for_a_denied_address() -> None:
    """The guard decides at connect time."""
    with pytest.raises(EgressDeniedError, match=r"127\.0\.0\.1 port 80"):
        Egress().socket((2, 1, 6, "", ("127.0.0.1", 80)))
