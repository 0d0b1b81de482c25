"""An embedded PostgreSQL server: a child process on a unix socket, with its data in one folder."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from ordinaut.embedded.binaries import postgres_programs
from ordinaut.embedded.folder import end_processes_in, locked, socket_folder
from ordinaut.embedded.launcher import NOBODY
from ordinaut.embedded.process import ChildProcess, Identity, command
from ordinaut.embedded.unprivileged import identity_for_postgres, prepare

USER = "ordinaut"
SERVICES_USER = "ordinaut_services"
DATABASE = "ordinaut"
START_SECONDS = 60.0  # including crash recovery of a large write-ahead log
STOP_SECONDS = 20.0
POLL_SECONDS = 0.01
STATUS_LINE = 7  # 0-based, of postmaster.pid; source: src/include/utils/pidfile.h

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "recovery_init_sync_method": "syncfs",  # halves the recovery time after a kill
    "random_page_cost": "1.1",
    "jit": "off",  # the statements of the queue are short
    "autovacuum_naptime": "10s",  # rows of due_work are short-lived
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class ServerStartError(RuntimeError):
    """An embedded server did not become ready; the message contains the end of its log."""


class EmbeddedPostgres:
    """`async with EmbeddedPostgres(folder) as pg: pg.url`.

    Created on first use, kept between uses, recovered after a crash; used by one process at a time. The server does not
    listen on TCP and needs no password: access to its private socket folder gives superuser rights. `settings`
    overrides settings of the server; `log` is its log file (default: `server.log` in the folder).
    """

    def __init__(
        self,
        data_dir: Path | str,
        *,
        settings: Mapping[str, str] | None = None,
        log: Path | None = None,
        identity: Identity | None = None,
    ) -> None:
        self._folder = Path(data_dir).resolve()
        self._cluster = self._folder / "cluster"
        self._log = log or self._folder / "server.log"
        self._settings = {**SETTINGS, **(settings or {})}
        self._identity: Identity = identity or "same"
        self._choose_identity = identity is None
        self._stack = ExitStack()
        self._programs = Path()
        self._sockets = Path()
        self._process: ChildProcess | None = None

    @property
    def url(self) -> str:
        """The URL for asyncpg, for the superuser; unchanged by a relaunch."""
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self._sockets))}"

    @property
    def services_url(self) -> str:
        """The URL of the services, for a role that owns the schema and is not a superuser. It must be created first."""
        return f"postgresql://{SERVICES_USER}@/{DATABASE}?host={quote(str(self._sockets))}"

    @property
    def pid(self) -> int:
        """The server's process id; 0 before the first launch."""
        return self._process.pid if self._process else 0

    @property
    def programs(self) -> Path:
        """The folder with psql, pgbench, pg_dump and other programs."""
        return self._programs

    async def __aenter__(self) -> Self:
        """Locks the folder and launches the server.

        Raises:
            FolderInUseError: another process uses the folder.
            ServerStartError: the server did not become ready.
        """
        with ExitStack() as stack:
            stack.enter_context(locked(self._folder))
            self._sockets = stack.enter_context(socket_folder(self._folder))
            if self._choose_identity:
                self._identity = await identity_for_postgres()
            self._programs = await prepare(self._folder, postgres_programs(), self._identity)
            if self._identity == "nobody":
                os.chown(self._sockets, NOBODY, NOBODY)
            await self._create()
            await self.launch()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the server and unlocks the folder."""
        try:
            await self.stop()
        finally:
            self._stack.close()

    async def launch(self) -> None:
        """Starts the server process, also after it has exited, and waits until it accepts connections."""
        await end_processes_in(self._cluster, signal.SIGINT, STOP_SECONDS, self._recorded_pid())
        arguments = [f"-c{name}={value}" for name, value in self._settings.items()]
        argv = [str(self._programs / "postgres"), "-D", str(self._cluster), "-k", str(self._sockets), *arguments]
        with self._log.open("ab") as log:
            self._process = ChildProcess(argv, signal.SIGINT, identity=self._identity, stdout=log)
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._ready(self._process)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Waits until the server process has exited and returns its exit code."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """Fast shutdown: rolls back open transactions; committed data is on disk."""
        if self._process is not None:
            await self._process.stop(signal.SIGINT, STOP_SECONDS)

    async def _ready(self, process: ChildProcess) -> None:
        while not self._is_ready(process.pid):
            if not process.running:
                raise ServerStartError(f"PostgreSQL did not start: {last_lines(self._log)}")
            await asyncio.sleep(POLL_SECONDS)  # postmaster.pid offers no notification

    def _is_ready(self, pid: int) -> bool:
        lines = self._postmaster_file()
        return len(lines) > STATUS_LINE and lines[0].strip() == str(pid) and lines[STATUS_LINE].strip() == "ready"

    def _recorded_pid(self) -> int:
        lines = self._postmaster_file()
        return int(lines[0]) if lines and lines[0].strip().isdecimal() else 0

    def _postmaster_file(self) -> list[str]:
        try:
            return (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    async def _create(self) -> None:
        """Creates the cluster with its database; discards the remains of an interrupted attempt."""
        if self._cluster.exists():
            return
        incomplete = self._folder / "cluster.new"
        shutil.rmtree(incomplete, ignore_errors=True)
        await self._run("initdb", "--no-locale", "-E", "UTF8", "-U", USER, "-A", "trust", "-D", str(incomplete))
        statement = f"CREATE DATABASE {DATABASE}".encode()
        await self._run("postgres", "--single", "-D", str(incomplete), "postgres", text=statement)
        incomplete.rename(self._cluster)

    async def _run(self, program: str, *arguments: str, text: bytes = b"") -> None:
        argv = command([str(self._programs / program), *arguments], signal.SIGKILL, self._identity)
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output, _ = await process.communicate(text)
        if process.returncode != 0:
            raise ServerStartError(f"{program} failed: {output.decode(errors='replace').strip()[-2000:]}")


def last_lines(log: Path, count: int = 5) -> str:
    """The last lines of a log file, for an error message."""
    try:
        return " | ".join(log.read_text(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return "the log is empty"
