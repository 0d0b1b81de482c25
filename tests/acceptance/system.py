"""The system under test as a stranger runs it: `ordinaut up` as a process of its own, with faults to be done to it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from ordinaut.client import Client
from ordinaut.embedded.process import command
from ordinaut.settings import StoreSettings
from ordinaut.store import identity
from ordinaut.store.database import Database
from tests.ports import lasting_port

START_SECONDS = 60.0
END_SECONDS = 60.0
STORES = {"postgres": b"/postgres\0-D\0", "valkey": b"valkey-server"}  # what their command lines hold
LOOK_SECONDS = 0.02  # how often /proc is looked at: nothing tells of another process's children


class SystemUnderTest:
    """`async with SystemUnderTest(folder) as system`; what is left of it at the end is killed.

    `environment` goes to every process. After `kill_everything`, `start` begins again on the same folder and ports.
    """

    def __init__(
        self, folder: Path, *, workers: int = 1, engines: int = 1, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.folder = folder
        self._options = ["--workers", str(workers), "--engines", str(engines)]
        self._environment = {**os.environ, "ORDINAUT_LEASE_SECONDS": "2", **environment}
        self._process: asyncio.subprocess.Process | None = None
        self._ports = ["--grpc-port", str(lasting_port()), "--rest-port", str(lasting_port())]
        self.said: dict[str, Any] = {}
        self._project_token = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_failure: object) -> None:
        if self.running:
            await self.stop()

    async def start(self) -> None:
        argv = [sys.executable, "-m", "ordinaut.cli", "up", "--json", "--data-dir", str(self.folder)]
        self._process = await asyncio.create_subprocess_exec(
            *command([*argv, *self._ports, *self._options], signal.SIGTERM),  # it ends with the test's process
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=None,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            self.said = json.loads(await self._process.stdout.readline())

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        self._process.terminate()
        async with asyncio.timeout(END_SECONDS):
            return await self._process.wait()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def enter_project(self, name: str) -> None:
        """Makes a project; the clients that are made from now on are its admin's."""
        database = await Database.open(StoreSettings(database_url=self.said["database_url"]))
        try:
            async with database.connection() as connection:
                self._project_token = await identity.create_project(connection, name)
        finally:
            await database.close()

    def client(self) -> Client:
        return Client(self.said["grpc"], self._project_token or self.said["token"])

    def pids(self, service: str) -> list[int]:
        """The present processes of a service or a store."""
        assert self._process is not None
        return [pid for pid in _children(self._process.pid) if _runs(pid, service)]

    async def kill(self, service: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Kills one process of a service or a store and waits until another has taken its place."""
        pid = (await self.until_some(service))[0]
        os.kill(pid, number)
        async with asyncio.timeout(START_SECONDS):
            while pid in self.pids(service) or not self.pids(service):
                await asyncio.sleep(LOOK_SECONDS)

    async def kill_everything(self) -> None:
        """kill -9 of `ordinaut up`, and waits until nothing of it is left."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        async with asyncio.timeout(END_SECONDS):
            while self.left_behind():
                await asyncio.sleep(LOOK_SECONDS)

    async def suspend(self, seconds: float, *more: int) -> None:
        """What a host does that sleeps: every process stops, these as well, and goes on so much later."""
        assert self._process is not None
        stopped: list[int] = []
        while new := [pid for pid in (*_tree(self._process.pid), *more) if pid not in stopped]:  # some start others
            stopped += new
            _signal(signal.SIGSTOP, new)
        try:
            await asyncio.sleep(seconds)
        finally:
            _signal(signal.SIGCONT, stopped)

    def left_behind(self) -> dict[int, str]:
        """Every process that was told this folder, by command line, `up` itself left out."""
        own = self._process.pid if self._process is not None and self._process.returncode is None else 0
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) not in (os.getpid(), own):
                with suppress(OSError):
                    told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                    if str(self.folder).encode() in told and _alive(int(entry.name)):
                        found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    async def until_some(self, service: str) -> list[int]:
        """The processes of a service or a store, once there are any."""
        async with asyncio.timeout(START_SECONDS):
            while not (pids := self.pids(service)):
                await asyncio.sleep(LOOK_SECONDS)
        return pids


def _signal(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _tree(pid: int) -> list[int]:
    """A process and all that it and its children have started."""
    with suppress(OSError):
        return [pid, *(one for child in _children(pid) for one in _tree(child))]
    return []


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _runs(pid: int, service: str) -> bool:
    with suppress(OSError):
        sign = STORES.get(service, f"-m\0{service}\0".encode())
        return sign in Path(f"/proc/{pid}/cmdline").read_bytes() and _alive(pid)
    return False


def _alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
