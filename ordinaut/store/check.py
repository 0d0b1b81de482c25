"""Static checks of the SQL files, part of `make check`: nothing missing, unused, or standing twice."""

import re
import sys
from pathlib import Path

from ordinaut.store.sql import FOLDER, INCLUDE, read_blocks

USE = re.compile(r"\bSQL\.(\w+)\b")
DUPLICATE_LINES = 8


def problems(folder: Path = FOLDER) -> list[str]:
    """Every problem of the SQL files in a folder, as sentences."""
    found: list[str] = []
    included: set[tuple[str, str]] = set()
    fragments: set[tuple[str, str]] = set()
    for path in sorted(folder.glob("*.sql")):
        blocks = read_blocks(path)
        module = path.with_suffix(".py")
        used = set(USE.findall(module.read_text())) if module.exists() else set()
        queries = {name for name, (kind, _, _) in blocks.items() if kind == "query"}
        fragments |= {(path.stem, name) for name in blocks.keys() - queries}
        found += [f"{path.name}: {name} is never used" for name in sorted(queries - used)]
        found += [f"{path.stem}.py uses SQL.{name}, which is missing" for name in sorted(used - queries)]
        for _, _, text in blocks.values():
            included |= {(home or path.stem, name) for home, name in INCLUDE.findall(text)}
    found += [f"{home}.sql: fragment {name} is missing" for home, name in sorted(included - fragments)]
    found += [f"{home}.sql: fragment {name} is never included" for home, name in sorted(fragments - included)]
    return found + _duplicates(folder)


def _duplicates(folder: Path) -> list[str]:
    """Runs of lines that stand in two blocks: they belong into a fragment."""
    seen: dict[tuple[str, ...], str] = {}
    found: list[str] = []
    for path in sorted(folder.glob("*.sql")):
        for name, (_, _, text) in read_blocks(path).items():
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            here = f"{path.stem}.{name}"
            runs = {tuple(lines[at : at + DUPLICATE_LINES]) for at in range(len(lines) - DUPLICATE_LINES + 1)}
            twins = {seen[run] for run in runs if run in seen}
            found += [f"{here} repeats {DUPLICATE_LINES} lines of {twin}" for twin in sorted(twins)]
            seen |= {run: here for run in runs if run not in seen}
    return found


def main() -> None:
    """Prints the problems and exits 1 when there are any."""
    found = problems()
    for problem in found:
        sys.stderr.write(problem + "\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
