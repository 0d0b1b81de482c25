"""`ordinaut login`: the token is in no list of processes and in no file that others may read."""

import io
import sys
from pathlib import Path
from types import ModuleType

import pytest

from ordinaut.cli import token_store
from ordinaut.v1.agent_pb2 import Agent, AgentToken
from ordinaut.v1.agent_service_pb2 import ListAgentTokensResponse, WhoAmIResponse
from tests.unit.cli.conftest import Cli, Gateway


@pytest.fixture(autouse=True)
def stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cli: Cli, gateway: Gateway) -> Path:
    """Without ORDINAUT_TOKEN and keyring; the path of the file."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("ORDINAUT_TOKEN")
    monkeypatch.setitem(sys.modules, "keyring", None)
    gateway.answers["WhoAmI"] = WhoAmIResponse(agent=Agent(name="agents/bot"), project="default")
    return tmp_path / "config" / "ordinaut" / "tokens.json"


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def authorization(gateway: Gateway) -> str | bytes | None:
    return gateway.metadata[-1].get("authorization")


def test_a_token_is_kept_for_its_address(
    cli: Cli, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, stored: Path
) -> None:
    typed(monkeypatch, "ord1_a_b\n")
    result = cli("login")
    assert (result.exit_code, result.err) == (0, "")
    assert result.out == f"agents/bot in project default; the token is in {stored}\n"
    assert stored.stat().st_mode & 0o777 == 0o600
    assert stored.parent.stat().st_mode & 0o777 == 0o700
    assert cli("whoami").exit_code == 0
    assert authorization(gateway) == "Bearer ord1_a_b"
    assert token_store.load("another:1") == ""


def test_a_token_that_is_not_valid_is_not_kept(cli: Cli, monkeypatch: pytest.MonkeyPatch, stored: Path) -> None:
    typed(monkeypatch, "\n")
    assert cli("login").exit_code == 2
    assert not stored.exists()


def test_the_environment_comes_first(cli: Cli, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    token_store.save(gateway.address, "ord1_stored")
    monkeypatch.setenv("ORDINAUT_TOKEN", "ord1_environment")
    cli("whoami")
    assert authorization(gateway) == "Bearer ord1_environment"


def test_a_file_that_others_may_read_is_refused(cli: Cli, gateway: Gateway, stored: Path) -> None:
    token_store.save(gateway.address, "ord1_stored")
    stored.chmod(0o640)
    result = cli("whoami")
    assert result.exit_code == 1
    assert "mode 0600 (is 0640)" in result.err
    assert not gateway.asked


def test_logout_forgets_the_token(cli: Cli, gateway: Gateway, stored: Path) -> None:
    token_store.save(gateway.address, "ord1_stored")
    token_store.save("other:1", "ord1_other")
    assert cli("logout").exit_code == 0
    assert token_store.load(gateway.address) == ""
    assert token_store.load("other:1") == "ord1_other"
    token_store.forget("other:1")
    assert not stored.exists()


class Keyring(ModuleType):
    """A keyring that keeps its passwords here."""

    priority = 1

    class KeyringError(Exception):
        """What keyrings raise."""

    def __init__(self, *, locked: bool = False) -> None:
        super().__init__("keyring")
        self.errors = self
        self.passwords: dict[tuple[str, str], str] = {}
        self.locked = locked

    def get_keyring(self) -> "Keyring":
        return self

    def set_password(self, service: str, name: str, password: str) -> None:
        if self.locked:
            raise self.KeyringError("locked")
        self.passwords[service, name] = password

    def get_password(self, service: str, name: str) -> str | None:
        return self.passwords.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        self.passwords.pop((service, name))


@pytest.mark.parametrize("locked", [False, True])
def test_a_keyring_is_preferred(monkeypatch: pytest.MonkeyPatch, stored: Path, locked: bool) -> None:
    """If it is locked, the token is in the file."""
    keyring = Keyring(locked=locked)
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", keyring)
    assert token_store.save("a:1", "t") == (str(stored) if locked else "the keyring")
    assert stored.exists() == locked
    assert token_store.load("a:1") == "t"
    if not locked:
        token_store.forget("a:1")
        assert not keyring.passwords


def test_a_token_on_the_command_line_is_warned_about(cli: Cli, gateway: Gateway) -> None:
    result = cli("whoami", "--token", "ord1_visible")
    assert result.exit_code == 0
    assert "list of processes" in result.err
    assert authorization(gateway) == "Bearer ord1_visible"


def test_tokens_are_listed_rotated_and_revoked(cli: Cli, gateway: Gateway) -> None:
    name = "agents/bot/tokens/aaaaaaaaaaaaaaaa"
    token = AgentToken(name=name, scopes=["tasks:read"], secret="ord1_new")
    gateway.answers |= {
        "ListAgentTokens": ListAgentTokensResponse(agent_tokens=[token]),
        "RotateAgentToken": token,
        "RevokeAgentToken": token,
    }
    assert name in cli("agent", "token", "list", "bot").out
    assert cli("agent", "token", "rotate", name, "--overlap", "1.5").out == "ord1_new\n"
    assert gateway.requests("RotateAgentToken")[0].overlap.seconds == 5400
    assert cli("agent", "token", "revoke", name).out == f"{name} revoked\n"
