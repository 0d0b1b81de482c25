"""The services are no superuser, Valkey needs its password, and existing loose modes are tightened."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis.asyncio

from ordinaut.embedded.database import prepare_database
from ordinaut.embedded.folder import locked
from ordinaut.embedded.postgres import SERVICES_USER, EmbeddedPostgres
from ordinaut.embedded.valkey import EmbeddedValkey
from ordinaut.store.migrate import migrate
from ordinaut.store.schema_owner import give_schema


async def test_the_services_own_the_schema_and_are_no_superuser(tmp_path: Path) -> None:
    """Also if a superuser has created it."""
    async with EmbeddedPostgres(tmp_path / "postgres", settings={"fsync": "off"}) as postgres:
        await migrate(postgres.url)
        for _ in range(2):
            await give_schema(postgres.url, SERVICES_USER)
        await prepare_database(postgres.services_url, tmp_path)
        connection: Any = await asyncpg.connect(postgres.services_url)
        try:
            assert await connection.fetchval("SHOW is_superuser") == "off"
            foreign = (
                "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
                " AND relkind IN ('r', 'v', 'S') AND pg_get_userbyid(relowner) <> current_user UNION ALL"
                " SELECT oid::regproc::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
                " AND pg_get_userbyid(proowner) <> current_user"
            )
            assert await connection.fetch(foreign) == []
            await connection.execute("ALTER TABLE project ADD COLUMN later int")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("CREATE ROLE other")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch("SELECT pg_read_file('/etc/passwd')")
        finally:
            await connection.close()


async def test_valkey_needs_its_password(tmp_path: Path) -> None:
    """Which other users can see neither in its arguments nor in its settings."""
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        password = valkey.url.partition("unix://:")[2].partition("@")[0]
        stranger: Any = redis.asyncio.from_url(valkey.url.replace(f":{password}@", ""))
        with pytest.raises(redis.exceptions.ConnectionError, match=r"authenticated|Authentication|NOAUTH"):
            await stranger.ping()
        await stranger.aclose()
        assert password not in arguments_of(valkey.pid)
        assert (tmp_path / "valkey" / "valkey.conf").stat().st_mode & 0o777 == 0o600


def arguments_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o750, 0o701])
def test_an_existing_data_folder_is_made_private(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    with locked(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


async def test_a_loose_token_file_is_made_private(tmp_path: Path) -> None:
    async with EmbeddedPostgres(tmp_path / "postgres", settings={"fsync": "off"}) as postgres:
        token = await prepare_database(postgres.url, tmp_path)
        (tmp_path / "admin.token").chmod(0o644)
        assert await prepare_database(postgres.url, tmp_path) == token
    assert (tmp_path / "admin.token").stat().st_mode & 0o777 == 0o600
