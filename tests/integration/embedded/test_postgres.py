"""The embedded PostgreSQL keeps its data, has one owner, and ends with it."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from ordinaut.embedded.folder import FolderInUseError, processes_in
from ordinaut.embedded.launcher import NOBODY
from ordinaut.embedded.postgres import EmbeddedPostgres, ServerStartError
from tests.patience import PATIENCE

OWNER = """
import asyncio, sys
from ordinaut.embedded.postgres import EmbeddedPostgres

async def main():
    async with EmbeddedPostgres(sys.argv[1]) as postgres:
        print(postgres.pid, postgres.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter; those of pytest are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o711)
        yield Path(made)


async def scalar(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def present(path: Path) -> bool:
    return path.exists()


def owner(path: Path) -> int:
    return path.stat().st_uid


async def gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def test_data_survives_a_restart(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        await scalar(postgres.url, "CREATE TABLE fact (n int)")
        await scalar(postgres.url, "INSERT INTO fact VALUES (7)")
    async with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        assert await scalar(postgres.url, "SELECT n FROM fact") == 7


async def test_it_listens_on_its_private_socket_only(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        assert await scalar(postgres.url, "SELECT current_setting('listen_addresses')") == ""
        sockets = Path(postgres.url.partition("host=")[2])
        assert mode(sockets) == 0o700
        assert await scalar(postgres.url, "SELECT current_setting('synchronous_commit')") == "on"
    assert not present(sockets)


async def test_settings_can_be_overridden(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "postgres", settings={"work_mem": "5MB"}) as postgres:
        assert await scalar(postgres.url, "SHOW work_mem") == "5MB"


async def test_a_second_owner_of_the_folder_is_rejected(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        with pytest.raises(FolderInUseError, match="in use by another running Ordinaut"):
            await EmbeddedPostgres(tmp_path / "postgres").__aenter__()
        assert await scalar(postgres.url, "SELECT 1") == 1


async def test_a_killed_server_is_restarted_at_the_same_url(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        await scalar(postgres.url, "CREATE TABLE fact AS SELECT 7 AS n")
        os.kill(postgres.pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            assert await postgres.wait() == -signal.SIGKILL
            await postgres.launch()
        assert await scalar(postgres.url, "SELECT n FROM fact") == 7


async def test_an_interrupted_first_start_is_repeated(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        assert await scalar(postgres.url, "SELECT 1") == 1


async def test_a_failed_start_includes_the_log(tmp_path: Path) -> None:
    with pytest.raises(ServerStartError, match="no_such_setting"):
        await EmbeddedPostgres(tmp_path / "postgres", settings={"no_such_setting": "1"}).__aenter__()
    async with EmbeddedPostgres(tmp_path / "postgres") as postgres:
        assert await scalar(postgres.url, "SELECT 1") == 1


def python_of_a_plain_user() -> list[str] | None:
    """The command prefix that runs Python as user nobody; None if this user cannot execute it."""
    paths = os.pathsep.join(path for path in sys.path if path)
    for python in (sys.executable, "/usr/bin/python3"):
        argv = ["env", f"PYTHONPATH={paths}", python]
        tried = subprocess.run(
            [*argv, "-c", "import ordinaut.embedded.postgres"], user=NOBODY, group=NOBODY, check=False, cwd="/"
        )
        if tried.returncode == 0:
            return argv
    return None


def owner_as(user: str, folder: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable]
    uid = None
    if user == "plain" and os.geteuid() == 0:
        plain = python_of_a_plain_user()
        if plain is None:
            pytest.skip("no Python here that a plain user can run")
        argv, uid = plain, NOBODY
        os.chown(folder, uid, uid)
    return subprocess.Popen(
        [*argv, "-c", OWNER, str(folder / "postgres")], stdout=subprocess.PIPE, user=uid, group=uid, cwd="/"
    )


@pytest.mark.parametrize("user", ["same", "plain"])
async def test_the_server_ends_with_a_killed_owner_and_recovers(folder: Path, user: str) -> None:
    with owner_as(user, folder) as process:
        assert process.stdout is not None
        pid, url = process.stdout.readline().split()
        await scalar(url.decode(), "CREATE TABLE fact AS SELECT 7 AS n")
        process.kill()
    await gone(int(pid))
    data = folder / "postgres"
    assert processes_in(data / "cluster") == []
    async with EmbeddedPostgres(data) as postgres:
        assert await scalar(postgres.url, "SELECT n FROM fact") == 7


async def test_root_without_user_namespaces_runs_it_as_nobody(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root needs another identity")
    data = folder / "postgres"
    async with EmbeddedPostgres(data, identity="nobody") as postgres:
        assert owner(data / "cluster") == NOBODY
        assert owner(Path(f"/proc/{postgres.pid}")) == NOBODY
        await scalar(postgres.url, "CREATE TABLE fact AS SELECT 7 AS n")
    async with EmbeddedPostgres(data) as postgres:  # and back
        assert await scalar(postgres.url, "SELECT n FROM fact") == 7
