"""Static checks of the SQL files, part of `make check`: missing, unused and duplicated statements, stale comments."""

import re
import sys
from pathlib import Path

from ordinaut.store.sql import FOLDER, INCLUDE, read_blocks, sql_files

USE = re.compile(r"\bSQL\.(\w+)\b")
INDEX_COMMENT = re.compile(r"; -- (.*)")
STATEMENT = re.compile(r"\b(\w+\.\w+)\b")
DUPLICATE_LINES = 8


def problems(folder: Path = FOLDER) -> list[str]:
    """Every problem of the SQL files in a folder, one sentence each. A file of fragments needs no module."""
    messages: list[str] = []
    included: set[tuple[str, str]] = set()
    fragments: set[tuple[str, str]] = set()
    for path in sql_files(folder).values():
        blocks = read_blocks(path)
        module = path.with_suffix(".py")
        used = set(USE.findall(module.read_text())) if module.exists() else set()
        queries = {name for name, (kind, _, _) in blocks.items() if kind == "query"}
        fragments |= {(path.stem, name) for name in blocks.keys() - queries}
        messages += [f"{path.name}: {name} is never used" for name in sorted(queries - used)]
        messages += [f"{path.stem}.py uses SQL.{name}, which is missing" for name in sorted(used - queries)]
        for _, _, text in blocks.values():
            included |= {(home or path.stem, name) for home, name in INCLUDE.findall(text)}
    messages += [f"{home}.sql: fragment {name} is missing" for home, name in sorted(included - fragments)]
    messages += [f"{home}.sql: fragment {name} is never included" for home, name in sorted(fragments - included)]
    return messages + _stale_index_comments(folder) + _duplicates(folder)


def _stale_index_comments(folder: Path) -> list[str]:
    """Statements that the comment after an index names, and that do not exist (any more)."""
    statements = {f"{path.stem}.{name}" for path in sql_files(folder).values() for name in read_blocks(path)}
    return [
        f"{path.name}: an index names {statement}, which is missing"
        for path in sorted((folder / "migrations").glob("*.sql"))
        for comment in INDEX_COMMENT.findall(path.read_text())
        for statement in STATEMENT.findall(comment)
        if statement not in statements
    ]


def _duplicates(folder: Path) -> list[str]:
    """Sequences of lines that occur in two blocks: they belong in a fragment."""
    first_block: dict[tuple[str, ...], str] = {}
    messages: list[str] = []
    for path in sql_files(folder).values():
        for name, (_, _, text) in read_blocks(path).items():
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            block = f"{path.stem}.{name}"
            windows = {tuple(lines[at : at + DUPLICATE_LINES]) for at in range(len(lines) - DUPLICATE_LINES + 1)}
            duplicates = {first_block[window] for window in windows if window in first_block}
            messages += [f"{block} repeats {DUPLICATE_LINES} lines of {source}" for source in sorted(duplicates)]
            first_block |= {window: block for window in windows if window not in first_block}
    return messages


def main() -> None:
    """Prints the problems; exits with 1 if there are any."""
    messages = problems()
    for message in messages:
        sys.stderr.write(message + "\n")
    sys.exit(1 if messages else 0)


if __name__ == "__main__":
    main()
