"""docs/scopes.md lists the scopes of the contract and of the built-in tools."""

import re
from pathlib import Path

from gateway.authentication.authenticator import SELF
from gateway.definitions.references import STORE_RIGHTS
from gateway.services import DESCRIPTORS
from ordinaut.v1.options_pb2 import scope as scope_option

PAGE = (Path(__file__).parents[3] / "docs/scopes.md").read_text()
ROW = re.compile(r"^\| (.+) \| (.+) \|$", re.MULTILINE)
NAME = re.compile(r"`([^`]+)`")


def section(title: str) -> list[tuple[str, str]]:
    text = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [(row[1], row[2]) for row in ROW.finditer(text) if "---" not in row[1]][1:]


def test_every_method_is_listed_under_its_scope() -> None:
    expected: dict[str, list[str]] = {}
    for service in DESCRIPTORS:
        for method in service.methods:
            scope = method.GetOptions().Extensions[scope_option]
            expected.setdefault("any valid token" if scope == SELF else f"`{scope}`", []).append(method.name)
    assert {scope: NAME.findall(methods) for scope, methods in section("Methods")} == expected


def test_every_built_in_tool_with_a_scope_is_listed() -> None:
    listed = {tool.strip("`"): scope.strip("`") for tool, scope in section("Pipelines") if tool.startswith("`")}
    assert listed == {tool: scope for tool, (scope, _) in STORE_RIGHTS.items()}


def test_every_noun_is_described() -> None:
    nouns = {scope.strip("`").partition(":")[0] for scope, _ in section("Methods") if scope.startswith("`")}
    described = {noun for names, _ in section("Form") for noun in NAME.findall(names)}
    assert nouns - {"system", "admin", "operator"} <= described
