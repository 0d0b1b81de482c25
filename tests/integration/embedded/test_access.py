"""The first start writes the admin token; a crash does not lose it."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from ordinaut.embedded.database import new_operator, new_project, prepare_database
from ordinaut.embedded.postgres import EmbeddedPostgres
from ordinaut.errors import AlreadyExistsError


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    async with EmbeddedPostgres(tmp_path / "postgres", settings={"fsync": "off"}) as postgres:
        yield postgres.url


async def test_the_token_is_written_once_and_kept_private(url: str, tmp_path: Path) -> None:
    token = await prepare_database(url, tmp_path)
    assert token.startswith("ord1_")
    assert mode(tmp_path / "admin.token") == 0o600
    assert await prepare_database(url, tmp_path) == token


async def test_a_crash_after_the_commit_and_before_the_rename_keeps_the_token(url: str, tmp_path: Path) -> None:
    token = await prepare_database(url, tmp_path)
    (tmp_path / "admin.token").rename(tmp_path / "admin.new")
    assert await prepare_database(url, tmp_path) == token


async def test_a_crash_before_the_commit_leaves_a_file_that_is_replaced(url: str, tmp_path: Path) -> None:
    (tmp_path / "admin.new").write_text("ord_never_committed")
    assert await prepare_database(url, tmp_path) != "ord_never_committed"


async def test_a_lost_token_is_replaced(url: str, tmp_path: Path) -> None:
    """The owner of the folder is a superuser of its database; the new token is in the audit log."""
    first = await prepare_database(url, tmp_path)
    (tmp_path / "admin.token").unlink()
    token = await prepare_database(url, tmp_path)
    assert token != first
    assert (tmp_path / "admin.token").read_text().strip() == token
    connection = await asyncpg.connect(url)
    methods = await connection.fetch("SELECT body::jsonb ->> 'method' AS method FROM audit ORDER BY id")
    await connection.close()
    assert [row["method"] for row in methods] == ["project create", "admin token"]


async def test_another_project_can_be_created_once(url: str, tmp_path: Path) -> None:
    await prepare_database(url, tmp_path)
    assert (await new_project(url, "second")).startswith("ord1_")
    with pytest.raises(AlreadyExistsError):
        await new_project(url, "second")


async def test_operators_get_as_many_tokens_as_they_need(url: str, tmp_path: Path) -> None:
    await prepare_database(url, tmp_path)
    tokens = {await new_operator(url) for _ in range(2)}
    assert len(tokens) == 2
    assert all(token.startswith("ord_") for token in tokens)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
