"""An embedded Valkey server: a child process on a unix socket, with its data in one folder."""

import asyncio
import json
import os
import secrets
import signal
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from ordinaut.embedded.binaries import valkey_program
from ordinaut.embedded.folder import end_processes_in, locked, socket_folder
from ordinaut.embedded.postgres import ServerStartError, last_lines
from ordinaut.embedded.process import ChildProcess

SOCKET = "valkey.sock"
SETTINGS_FILE = "valkey.conf"
START_SECONDS = 60.0  # including the loading of a large append-only file
STOP_SECONDS = 10.0
POLL_SECONDS = 0.01


class EmbeddedValkey:
    """`async with EmbeddedValkey(folder) as valkey: valkey.url`.

    It writes an append-only file, evicts nothing, does not listen on TCP and requires a password, which is new for each
    object and written to a private file for the server only. One process may use it at a time; `log` is
    its log file (default: `server.log` in the folder).
    """

    def __init__(self, data_dir: Path | str, *, log: Path | None = None) -> None:
        self._folder = Path(data_dir).resolve()
        self._log = log or self._folder / "server.log"
        self._stack = ExitStack()
        self._sockets = Path()
        self._process: ChildProcess | None = None
        self._password = secrets.token_hex(32)

    @property
    def url(self) -> str:
        """The URL for redis-py; unchanged by a relaunch."""
        return f"unix://:{self._password}@{self._sockets / SOCKET}"

    @property
    def pid(self) -> int:
        """The server's process id; 0 before the first launch."""
        return self._process.pid if self._process else 0

    async def __aenter__(self) -> Self:
        """Locks the folder and launches the server.

        Raises:
            FolderInUseError: another process uses the folder.
            ServerStartError: the server did not become ready.
        """
        with ExitStack() as stack:
            stack.enter_context(locked(self._folder))
            self._sockets = stack.enter_context(socket_folder(self._folder))
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
        """Starts the server process, also after it has exited, and waits until it accepts commands."""
        await end_processes_in(self._folder, signal.SIGTERM, STOP_SECONDS)
        socket = self._sockets / SOCKET
        socket.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = ChildProcess(self._command(socket), signal.SIGTERM, stdout=log)
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._ready(self._process, socket)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Waits until the server process has exited and returns its exit code."""
        return await self._process.wait() if self._process else 0

    async def stop(self) -> None:
        """Stops the server after it has written its append-only file."""
        if self._process is not None:
            await self._process.stop(signal.SIGTERM, STOP_SECONDS)

    def _command(self, socket: Path) -> list[str]:
        """The program with its settings in a file, because other users can read the arguments of a process."""
        settings = {
            "port": "0",
            "requirepass": self._password,
            "unixsocket": str(socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "appendonly": "yes",
            "save": "",  # the append-only file is sufficient
            "maxmemory-policy": "noeviction",
            "loglevel": "notice",
        }
        path = self._folder / SETTINGS_FILE
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{name} {json.dumps(value)}\n" for name, value in settings.items())
        return [str(valkey_program()), str(path)]

    async def _ready(self, process: ChildProcess, socket: Path) -> None:
        while not await _answers(socket, self._password):
            if not process.running:
                raise ServerStartError(f"Valkey did not start: {last_lines(self._log)}")
            await asyncio.sleep(POLL_SECONDS)  # the server offers no notification


async def _answers(socket: Path, password: str) -> bool:
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    try:
        writer.write(f"AUTH {password}\r\nPING\r\n".encode())
        await reader.readline()
        return (await reader.readline()).startswith(b"+PONG")  # -LOADING while it reads its file
    except ConnectionError:
        return False
    finally:
        writer.close()
