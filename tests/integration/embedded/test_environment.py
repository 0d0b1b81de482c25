"""Environment variables: ports, addresses of other services, egress rules."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ordinaut.embedded.data_key import ensure_data_key
from ordinaut.embedded.environment import Layout, replica_environment, shared_environment
from ordinaut.embedded.ports import Port, PortTakenError
from pipeline_engine.data.data_keys import DataKeys


@pytest.fixture
def layout() -> Iterator[Layout]:
    with ExitStack() as stack:
        yield Layout.take(stack, 0, 0, workers=2, engines=2)


def test_ports_are_unique(layout: Layout) -> None:
    ports = [port.number for replica in layout.replicas for port in (replica.listen, replica.metrics)]
    assert len({layout.rest.number, *ports}) == len(ports) + 1 == 13
    assert [replica.service for replica in layout.replicas] == [
        *("gateway", "scheduler", "pipeline_engine", "pipeline_engine", "worker", "worker")
    ]


def test_all_processes_know_all_engines_and_only_their_own_port(layout: Layout) -> None:
    shared = shared_environment(layout, Path("data"), "postgresql://x", "unix://y")
    first, second = layout.of("pipeline_engine")
    assert shared["ORDINAUT_ENGINE_ADDRESSES"] == f"{first.listen.address},{second.listen.address}"
    told = replica_environment(shared, layout, second)
    assert told["ORDINAUT_ENGINE_LISTEN"] == second.listen.address
    assert told["ORDINAUT_ENGINE_METRICS_PORT"] == str(second.metrics.number)
    assert "ORDINAUT_WORKER_LISTEN" not in told


def test_tools_may_call_this_machine_but_not_the_services(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDINAUT_EGRESS_ALLOW", "10.0.0.0/8")
    shared = shared_environment(layout, Path("data"), "postgresql://x", "unix://y")
    assert shared["ORDINAUT_EGRESS_ALLOW"] == "10.0.0.0/8,127.0.0.0/8,::1/128"
    denied = set(shared["ORDINAUT_EGRESS_DENY"].split(","))
    assert denied == {
        f"127.0.0.0/8:{port.number}"
        for port in [layout.rest, *(p for replica in layout.replicas for p in (replica.listen, replica.metrics))]
    }


def test_secrets_are_in_the_data_folder_by_default(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORDINAUT_SECRETS_DIR", raising=False)
    assert shared_environment(layout, Path("data"), "a", "b")["ORDINAUT_SECRETS_DIR"] == "data/secrets"
    monkeypatch.setenv("ORDINAUT_SECRETS_DIR", "/run/secrets")
    assert shared_environment(layout, Path("data"), "a", "b")["ORDINAUT_SECRETS_DIR"] == "/run/secrets"


def test_the_internal_token_is_new_each_time(layout: Layout) -> None:
    tokens = {shared_environment(layout, Path("data"), "a", "b")["ORDINAUT_INTERNAL_TOKEN"] for _ in range(2)}
    assert len(tokens) == 2
    assert min(map(len, tokens)) >= 32


def test_a_selected_port_is_never_replaced() -> None:
    taken = Port.take(0)
    with ExitStack() as stack, pytest.raises(PortTakenError, match=str(taken.number)):
        Layout.take(stack, taken.number, 0, workers=1, engines=1)
    taken.close()


def test_a_data_key_is_created_once_and_privately(tmp_path: Path) -> None:
    """Also after a start that was interrupted while it wrote the file."""
    (tmp_path / "data.key.new").write_text("1 half")
    ensure_data_key(tmp_path)
    text = (tmp_path / "data.key").read_text()
    assert (tmp_path / "data.key").stat().st_mode & 0o777 == 0o600
    assert DataKeys.read(tmp_path / "data.key").text == text.strip()
    ensure_data_key(tmp_path)
    assert (tmp_path / "data.key").read_text() == text
