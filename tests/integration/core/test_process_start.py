"""A process that cannot start says why in one line."""

import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from ordinaut.store.migrate import PostgresVersionError, require_postgres

SERVICES = ("gateway", "scheduler", "worker", "pipeline_engine")
ENGINE = {"ORDINAUT_ENGINE_LISTEN": "127.0.0.1:0", "ORDINAUT_ENGINE_METRICS_PORT": "0"}


def started(module: str, environment: dict[str, str]) -> str:
    """The standard error of a process that exits with code 1 by itself."""
    ended = subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, **environment},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_invalid_settings_are_one_line(service: str) -> None:
    text = started(service, {"ORDINAUT_GRACE_SECONDS": "soon", "ORDINAUT_LOG_LEVEL": "loud"})
    assert text.startswith("ordinaut: invalid setting: ")
    assert "ORDINAUT_GRACE_SECONDS: Input should be a valid number" in text
    assert "ORDINAUT_LOG_LEVEL: String should match" in text
    assert text.count("\n") == 1


def test_the_value_of_a_setting_is_not_printed() -> None:
    text = started("worker", {"ORDINAUT_DATABASE_URL": "mysql://root:hunter2@localhost/x"})
    assert "ORDINAUT_DATABASE_URL" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("listen", ["8080", "127.0.0.1", "127.0.0.1:http", "tcp://127.0.0.1:1"])
def test_a_malformed_listen_address_is_one_line(listen: str) -> None:
    assert "ORDINAUT_ENGINE_LISTEN" in started("pipeline_engine", {**ENGINE, "ORDINAUT_ENGINE_LISTEN": listen})


@pytest.mark.parametrize("purpose", ["ORDINAUT_ENGINE_LISTEN", "ORDINAUT_ENGINE_METRICS_PORT"])
def test_a_busy_port_is_named(purpose: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        value = port if purpose.endswith("PORT") else f"127.0.0.1:{port}"
        text = started("pipeline_engine", {**ENGINE, purpose: value})
    last = text.strip().splitlines()[-1]
    assert last.startswith("ordinaut: the pipeline_engine cannot start: ")
    assert f"127.0.0.1:{port}" in last
    assert "in use" in last


@pytest.mark.parametrize(("major", "minor", "accepted"), [(15, 12, False), (9, 6, False), (16, 0, True), (18, 1, True)])
def test_old_servers_are_refused(major: int, minor: int, accepted: bool) -> None:
    server = SimpleNamespace(major=major, minor=minor)
    if accepted:
        require_postgres(server)
        return
    with pytest.raises(PostgresVersionError, match=rf"PostgreSQL 16 or newer \(got {major}.{minor}\)"):
        require_postgres(server)
