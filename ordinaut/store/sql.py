"""Reads SQL from the `.sql` file of the same name as the module that uses it.

A file consists of named blocks. `-- query NAME: intent` starts a statement, `-- fragment NAME: intent` a part that
statements include with a line `-- include NAME`, or `-- include FILE.NAME` from another file. `:name` is a parameter.
No values are formatted into SQL. In lists that callers filter and order, the lines `-- filter` and `-- order` are
replaced by the fixed texts of a `Selection`.
"""

import re
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg

from ordinaut.store.selection import Selection

HEAD = re.compile(r"^-- (query|fragment) (\w+): (.+)$", re.MULTILINE)
INCLUDE = re.compile(r"^[ \t]*-- include (?:(\w+)\.)?(\w+)$", re.MULTILINE)
FILTER = re.compile(r"^[ \t]*-- filter$", re.MULTILINE)
ORDER = re.compile(r"^[ \t]*-- order$", re.MULTILINE)
PARAMETER = re.compile(r"(?<![:\w']):([a-z][a-z_]*)")
FOLDER = Path(__file__).parent
MIGRATIONS = "migrations"
STREAM_ROWS = 20  # a row may have several MiB

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
Record = asyncpg.Record


class Query:
    """One statement with named parameters; asyncpg prepares it once per connection."""

    def __init__(self, name: str, intent: str, text: str) -> None:
        self.name = name
        self.intent = intent
        self.parameters = tuple(dict.fromkeys(PARAMETER.findall(text)))
        numbers = {parameter: f"${number}" for number, parameter in enumerate(self.parameters, 1)}
        self.text = PARAMETER.sub(lambda match: numbers[match[1]], text)

    async def rows(self, connection: Connection, **arguments: Any) -> list[Any]:
        """Every row."""
        return await connection.fetch(self.text, *self._ordered(arguments))

    async def row(self, connection: Connection, **arguments: Any) -> Any:
        """The first row or None."""
        return await connection.fetchrow(self.text, *self._ordered(arguments))

    async def value(self, connection: Connection, **arguments: Any) -> Any:
        """The first column of the first row, or None."""
        return await connection.fetchval(self.text, *self._ordered(arguments))

    async def stream(self, connection: Connection, **arguments: Any) -> AsyncIterator[Any]:
        """Yields the rows without keeping them; in a transaction."""
        async for row in connection.cursor(self.text, *self._ordered(arguments), prefetch=STREAM_ROWS):
            yield row

    async def run(self, connection: Connection, **arguments: Any) -> int:
        """The number of rows that the statement changed."""
        status = await connection.execute(self.text, *self._ordered(arguments))
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def page(self, connection: Connection, selection: Selection, **arguments: Any) -> list[Any]:
        """Every row, with a selection's SQL in place of the lines `-- filter` and `-- order`."""
        clause = selection.sql(len(self.parameters) + 1)
        text = FILTER.sub(lambda _: clause.filter, ORDER.sub(lambda _: clause.order, self.text))
        return await connection.fetch(text, *self._ordered(arguments), *clause.values)

    def _ordered(self, arguments: dict[str, Any]) -> list[Any]:
        if arguments.keys() != set(self.parameters):
            raise TypeError(f"{self.name} takes {sorted(self.parameters)} (got {sorted(arguments)})")
        return [arguments[parameter] for parameter in self.parameters]


class Queries:
    """The statements of one file, as attributes."""

    def __init__(self, module_file: str) -> None:
        self.path = Path(module_file).with_suffix(".sql")
        blocks = read_blocks(self.path)
        self.queries = {
            name: Query(f"{self.path.stem}.{name}", intent, expand(text, self.path.stem))
            for name, (kind, intent, text) in blocks.items()
            if kind == "query"
        }

    def __getattr__(self, name: str) -> Query:
        """The statement with that name."""
        try:
            return self.__dict__["queries"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"{self.path.name} has no query {name}") from None


@cache
def sql_files(folder: Path = FOLDER) -> dict[str, Path]:
    """The SQL files of the store by stem, without the migrations.

    Raises:
        ValueError: two files have the same name, so that an include would be ambiguous.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.sql")):
        if path.parent.name == MIGRATIONS:
            continue
        if path.stem in files:
            raise ValueError(f"{path} and {files[path.stem]} have the same name")
        files[path.stem] = path
    return files


@cache
def read_blocks(path: Path) -> dict[str, tuple[str, str, str]]:
    """Kind, intent and raw text of each block of a file, by name.

    Raises:
        ValueError: two blocks have the same name.
    """
    text = path.read_text()
    heads = list(HEAD.finditer(text))
    blocks: dict[str, tuple[str, str, str]] = {}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        if head[2] in blocks:
            raise ValueError(f"{path.name}: two blocks are named {head[2]}")
        body = text[head.end() : following.start() if following else len(text)].strip().rstrip(";")
        blocks[head[2]] = (head[1], head[3], body)
    return blocks


def expand(text: str, stem: str) -> str:
    """The text with every include line replaced by its fragment."""

    def fragment(match: re.Match[str]) -> str:
        home = match[1] or stem
        return expand(read_blocks(sql_files()[home])[match[2]][2], home)

    return INCLUDE.sub(fragment, text)
