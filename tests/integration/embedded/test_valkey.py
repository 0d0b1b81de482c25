"""The embedded Valkey keeps its data, has one owner, and is restarted at the same address."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from ordinaut.embedded.folder import FolderInUseError
from ordinaut.embedded.valkey import EmbeddedValkey
from tests.patience import PATIENCE


async def command(url: str, *words: str) -> Any:
    client: Any = redis.asyncio.from_url(url, decode_responses=True)
    try:
        return await client.execute_command(*words)
    finally:
        await client.aclose()


async def test_data_survives_a_restart(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        await command(valkey.url, "XADD", "ordinaut:events", "1-0", "a", "b")
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        assert await command(valkey.url, "XLEN", "ordinaut:events") == 1


async def test_it_never_evicts_and_has_no_port(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        settings = await command(valkey.url, "CONFIG", "GET", "maxmemory-policy", "port")
        assert settings == {"maxmemory-policy": "noeviction", "port": "0"}


async def test_a_second_owner_of_the_folder_is_rejected(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path / "valkey"):
        with pytest.raises(FolderInUseError):
            await EmbeddedValkey(tmp_path / "valkey").__aenter__()


async def test_a_killed_server_is_restarted_at_the_same_url(tmp_path: Path) -> None:
    async with EmbeddedValkey(tmp_path / "valkey") as valkey:
        os.kill(valkey.pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            assert await valkey.wait() == -signal.SIGKILL
            await valkey.launch()
        assert await command(valkey.url, "PING") in {True, "PONG"}
