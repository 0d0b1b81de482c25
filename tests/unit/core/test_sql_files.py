"""The loader of SQL files, and the files themselves."""

from pathlib import Path

import pytest

from ordinaut.store.check import problems
from ordinaut.store.sql import Query, expand, read_blocks


class Silent:
    """A connection that returns no rows."""

    async def fetch(self, *_arguments: object) -> list[object]:
        return []


def test_parameters_are_numbered_in_order_and_casts_are_left_alone() -> None:
    query = Query("x", "", "SELECT :b::uuid, :a, :b, 'a:b', '{}'::jsonb, 'run:' || :a")
    assert query.parameters == ("b", "a")
    assert query.text == "SELECT $1::uuid, $2, $1, 'a:b', '{}'::jsonb, 'run:' || $2"


async def test_a_call_with_wrong_arguments_raises() -> None:
    with pytest.raises(TypeError, match=r"x takes \['a'\] \(got \['b'\]\)"):
        await Query("x", "", "SELECT :a").rows(Silent(), b=1)  # type: ignore[arg-type]  # not used before the error


def test_blocks_and_fragments(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_text("-- fragment f: A piece.\na, b\n\n-- query q: All.\nSELECT\n-- include f\nFROM t;\n")
    assert read_blocks(path)["q"] == ("query", "All.", "SELECT\n-- include f\nFROM t")


def test_block_names_are_unique(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_text("-- query q: One.\nSELECT 1;\n-- query q: Two.\nSELECT 2;\n")
    with pytest.raises(ValueError, match="two blocks are named q"):
        read_blocks(path)


def test_fragments_come_from_other_files_too() -> None:
    assert "INSERT INTO due_work" in expand("-- include due_work_enqueue.enqueue", "cursor")


def test_the_sql_files_have_no_missing_unused_or_duplicated_blocks() -> None:
    assert problems() == []


def test_a_missing_an_unused_and_a_repeated_block_are_found(tmp_path: Path) -> None:
    lines = "\n".join(f"  column_{number}," for number in range(9))
    (tmp_path / "x.sql").write_text(f"-- query a: One.\nSELECT\n{lines}\n-- query b: Two.\nSELECT\n{lines}\n")
    (tmp_path / "x.py").write_text("SQL.a\nSQL.c\n")
    found = problems(tmp_path)
    assert "x.sql: b is never used" in found
    assert "x.py uses SQL.c, which is missing" in found
    assert "x.b repeats 8 lines of x.a" in found


def test_an_index_comment_that_names_a_missing_statement_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_text("-- query a: One.\nSELECT 1\n")
    (tmp_path / "x.py").write_text("SQL.a\n")
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_x.sql").write_text("CREATE INDEX i ON t (c); -- x.a, x.b of a project\n")
    assert problems(tmp_path) == ["0001_x.sql: an index names x.b, which is missing"]
