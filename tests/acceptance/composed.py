"""What docker-compose.yml says, done without containers: each service is a process with a loopback address of its own.

The real Compose resolves the file, and entry point and environment of the image come from the Dockerfile; only the
names of hosts become addresses. The stores are external ones.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ordinaut.embedded.process import command

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
SECRETS = {
    "POSTGRES_PASSWORD": "a-password",
    "REDIS_PASSWORD": "another",
    "ORDINAUT_INTERNAL_TOKEN": "between-processes",
}
FILES = ("--file", "docker-compose.yml")
MANAGED = (*FILES, "--file", "deploy/managed-stores.yml")
END_SECONDS = 30.0


def compose(*arguments: str, environment: Mapping[str, str] = SECRETS) -> "subprocess.CompletedProcess[str]":
    """Calls the real Compose, which sees nothing of this process's environment."""
    argv = [str(PROGRAMS / "docker-compose"), "--env-file", os.devnull, *arguments]
    given = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
    return subprocess.run(argv, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False)


def resolved(*files: str, environment: Mapping[str, str] = SECRETS) -> dict[str, Any]:
    """The whole project as Compose understands it."""
    ended = compose(*files, "config", "--format", "json", environment=environment)
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


@cache
def image() -> tuple[list[str], dict[str, str]]:
    """Entry point and settings of Ordinaut's image."""
    text = (ROOT / "Dockerfile").read_text()
    entry = re.search(r"^ENTRYPOINT (\[.*\])$", text, re.MULTILINE)
    assert entry is not None
    return json.loads(entry[1]), dict(re.findall(r"^ +(ORDINAUT_\w+)=([^ \\\n]+)", text, re.MULTILINE))


@dataclass(frozen=True)
class Container:
    """One replica of a service, as a process of this machine."""

    service: str
    address: str
    command: Sequence[str]
    environment: Mapping[str, str]

    def started(self) -> "subprocess.Popen[str]":
        """The process; once it is ready it says so in one line."""
        argv = command([sys.executable, *image()[0][1:], *self.command], signal.SIGKILL)
        given = {"PATH": os.environ["PATH"], **self.environment}
        return subprocess.Popen(argv, cwd="/tmp", env=given, stdout=subprocess.PIPE, text=True)

    def healthy(self, port: int) -> bool:
        """What the container's health check would find."""
        probe = [sys.executable, "-P", str(ROOT / "deploy/probe.py"), f"{self.address}:{port}"]
        return subprocess.run(probe, timeout=30, check=False).returncode == 0


class Composition:
    """The project's own services, each replica at an address of 127.0.0.0/8 that nobody else is likely to use."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        urls = {"ORDINAUT_DATABASE_URL": database_url, "ORDINAUT_REDIS_URL": redis_url}
        project = resolved(*MANAGED, environment={**SECRETS, **urls})
        services = {name: one for name, one in project["services"].items() if one["image"].startswith("ordinaut:")}
        replicas = [(name, one) for name, one in services.items() for _ in range(_replicas(one))]
        net = f"127.{secrets.randbelow(200) + 30}.{secrets.randbelow(250)}"
        places = [f"{net}.{number}" for number in range(1, len(replicas) + 1)]
        self._hosts = {name: place for (name, _), place in zip(reversed(replicas), reversed(places), strict=True)}
        self.containers = [
            Container(name, place, one["command"], self._settings(one["environment"], place))
            for (name, one), place in zip(replicas, places, strict=True)
        ]

    def of(self, service: str) -> list[Container]:
        """The replicas of a service."""
        return [container for container in self.containers if container.service == service]

    def run_to_end(self, service: str, *command: str) -> str:
        """What `docker compose run SERVICE [COMMAND]` prints."""
        (container,) = self.of(service)
        given = Container(service, container.address, command or container.command, container.environment)
        with given.started() as process:
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return said.strip()

    def _settings(self, given: Mapping[str, str], place: str) -> dict[str, str]:
        return {name: self._placed(text, place) for name, text in {**image()[1], **given}.items()}

    def _placed(self, text: str, place: str) -> str:
        """The text with addresses for the names of hosts, and with its own address for `every interface`."""
        for name, address in self._hosts.items():
            text = re.sub(rf"(?<![\w-]){re.escape(name)}:", f"{address}:", text)
        return text.replace("0.0.0.0", place)


def _replicas(service: Mapping[str, Any]) -> int:
    return int(service.get("deploy", {}).get("replicas", 1))


@contextmanager
def running(containers: Sequence[Container]) -> Iterator[None]:
    """Starts them all at once, as Compose may, and ends them as Compose does: SIGTERM, and 0 is expected."""
    processes = [container.started() for container in containers]
    try:
        for process in processes:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline() or "{}").get("ready"), process.args
        yield
    finally:
        for process in processes:
            process.terminate()
        codes = [process.wait(END_SECONDS) for process in processes]
        for process in processes:
            process.communicate()
    assert set(codes) == {0}
