#!/usr/bin/env python3
"""Moves Python modules and rewrites every import of them: `move_modules.py PLAN` at the top of the checkout.

A line of the plan is `old.module -> new.module` (a move), or `old.module => new.module` (the module is appended to
`new.module`, which exists or was moved there by an earlier line). A `.sql` file of the same name moves along. A line
whose old module does not exist is skipped, so a plan can be applied again to a branch that was made before the move.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

ROOTS = ("gateway", "scheduler", "worker", "pipeline_engine", "ordinaut", "benchmarks", "examples", "tests", "deploy")
TEXTS = ("pyproject.toml", "Makefile", "Dockerfile", "docker-compose.yml", "README.md", "docs", ".github", "deploy")


def path_of(module: str) -> Path:
    """The file of a module."""
    return Path(*module.split(".")).with_suffix(".py")


def read_plan(text: str) -> list[tuple[str, str, bool]]:
    """The moves as (old, new, merged)."""
    moves = []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if words:
            old, arrow, new = words
            moves.append((old, new, arrow == "=>"))
    return [(old, new, merged) for old, new, merged in moves if path_of(old).exists()]


def git(*arguments: str) -> None:
    """Runs git and fails with it."""
    subprocess.run(["git", *arguments], check=True)  # noqa: S603, S607 - the developer's own git


def make_package(folder: Path) -> None:
    """An `__init__.py` in the folder and in each folder above it."""
    while folder != Path():
        init = folder / "__init__.py"
        if not init.exists():
            folder.mkdir(parents=True, exist_ok=True)
            init.touch()
            git("add", str(init))
        folder = folder.parent


def move(old: Path, new: Path) -> None:
    """Moves the module and the files that belong to it."""
    make_package(new.parent)
    for file in sorted(old.parent.glob(old.stem + ".*")):
        if file.suffix in {".py", ".sql"}:
            git("mv", str(file), str(new.with_suffix(file.suffix)))


def parts(text: str) -> tuple[str, str, str]:
    """A module's docstring, its imports, and the rest."""
    lines = text.splitlines(keepends=True)
    tree = ast.parse(text)
    body = tree.body
    head = 0
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        head = body[0].end_lineno or 0
        body = body[1:]
    last = head
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ):
            last = node.end_lineno or last
        else:
            break
    return "".join(lines[:head]), "".join(lines[head:last]), "".join(lines[last:])


def merge(old: Path, new: Path) -> None:
    """Appends a module to another one."""
    docstring, imports, body = parts(new.read_text())
    _, more_imports, more_body = parts(old.read_text())
    new.write_text(docstring + imports + more_imports + body.rstrip("\n") + "\n\n\n" + more_body.strip("\n") + "\n")
    git("rm", "-q", "-f", str(old))


class Imports:
    """Rewrites the imports of one file."""

    def __init__(self, moved: dict[str, str], own: str) -> None:
        self.moved = moved
        self.own = own
        self.renamed: dict[str, str] = {}

    def statement(self, node: ast.stmt) -> str | None:
        """The statement in its new form; None if it stays as it is."""
        if isinstance(node, ast.Import):
            if not any(alias.name in self.moved for alias in node.names):
                return None
            names = [ast.alias(self.moved.get(alias.name, alias.name), alias.asname) for alias in node.names]
            return ast.unparse(ast.Import(names))
        if not isinstance(node, ast.ImportFrom) or not node.module or node.level:
            return None
        source = self.moved.get(node.module, node.module)
        groups: dict[str, list[ast.alias]] = {}
        for alias in node.names:
            target = self.moved.get(f"{node.module}.{alias.name}")
            if target is None:
                groups.setdefault(source, []).append(alias)
                continue
            package, _, leaf = target.rpartition(".")
            if leaf != alias.name and alias.asname is None:
                self.renamed[alias.name] = leaf
            groups.setdefault(package, []).append(ast.alias(leaf, alias.asname))
        if not any(f"{node.module}.{alias.name}" in self.moved for alias in node.names) and source == node.module:
            return None
        groups.pop(self.own, None)
        kept = [ast.unparse(ast.ImportFrom(module, names, 0)) for module, names in groups.items()]
        return "\n".join(kept)


def rename(text: str, names: dict[str, str]) -> str:
    """Replaces names that stand alone: no attributes, no keywords of calls, nothing inside an import."""
    lines = text.splitlines(keepends=True)
    tokens = [
        t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in {tokenize.NL, tokenize.COMMENT}
    ]
    places = []
    importing = False
    for index, token in enumerate(tokens):
        before = tokens[index - 1].string if index else ""
        after = tokens[index + 1].string if index + 1 < len(tokens) else ""
        if token.type == tokenize.NEWLINE:
            importing = False
        elif token.string in {"import", "from"} and tokens[index - 1].type in {
            tokenize.NEWLINE,
            tokenize.INDENT,
            tokenize.DEDENT,
        }:
            importing = True
        elif (
            token.type == tokenize.NAME
            and token.string in names
            and not (importing or before == "." or (after == "=" and before in {"(", ","}))
        ):
            places.append(token)
    for token in reversed(places):
        row, column = token.start
        line = lines[row - 1]
        lines[row - 1] = line[:column] + names[token.string] + line[column + len(token.string) :]
    return "".join(lines)


def rewrite(file: Path, moved: dict[str, str]) -> None:
    """Rewrites one Python file: imports, names of modules, and module paths inside texts."""
    text = file.read_text()
    own = ".".join(file.with_suffix("").parts)
    imports = Imports(moved, own)
    lines = text.splitlines(keepends=True)
    for node in sorted(
        (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import | ast.ImportFrom)), key=lambda n: -n.lineno
    ):
        new = imports.statement(node)
        if isinstance(node, ast.ImportFrom) and moved.get(node.module or "", node.module) == own:
            new = ""
        if new is not None:
            indent = " " * node.col_offset
            lines[node.lineno - 1 : node.end_lineno] = ["".join(f"{indent}{line}\n" for line in new.splitlines())]
    changed = "".join(lines)
    if imports.renamed:
        changed = rename(changed, imports.renamed)
    changed = re.sub(r"(?<=[\"'`])[a-z_]+(?:\.[a-z_]+)+", lambda match: dotted(match[0], moved), changed)
    if changed != text:
        file.write_text(changed)


def dotted(path: str, moved: dict[str, str]) -> str:
    """A dotted path inside a text, with the longest moved module at its beginning replaced."""
    names = path.split(".")
    for length in range(len(names), 1, -1):
        if new := moved.get(".".join(names[:length])):
            return ".".join([new, *names[length:]])
    return path


def rewrite_text(file: Path, moved: dict[str, str]) -> None:
    """Rewrites module paths in a file that is not Python: dotted ones and file names."""
    text = changed = file.read_text()
    for old, new in sorted(moved.items(), key=lambda pair: -len(pair[0])):
        changed = changed.replace(str(path_of(old)), str(path_of(new)))
        changed = re.sub(rf"(?<=[\"'`]){re.escape(old)}(?=[\"'`.])", new, changed)
    if changed != text:
        file.write_text(changed)


def main() -> None:
    """Applies the plan."""
    plan = read_plan(Path(sys.argv[1]).read_text())
    for old, new, merged in plan:
        (merge if merged else move)(path_of(old), path_of(new))
    moved = {old: new for old, new, _ in plan}
    for root in ROOTS:
        for file in Path(root).rglob("*.py"):
            if "_pb2" not in file.name:
                rewrite(file, moved)
    for name in TEXTS:
        top = Path(name)
        for file in (
            [top] if top.is_file() else [f for ending in ("*.md", "*.yml", "*.toml") for f in top.rglob(ending)]
        ):
            rewrite_text(file, moved)


if __name__ == "__main__":
    main()
