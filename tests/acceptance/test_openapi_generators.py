"""Clients that two generators make from the OpenAPI document work: lists, a watch, errors and 64-bit fields."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.system import SystemUnderTest

SOURCES = Path(__file__).parents[1] / "foreign/openapi"
VIOLATIONS = ["task.display_name", "task.pipeline.steps"]


def run(command: Sequence[object], folder: Path, variables: Mapping[str, str] | None = None) -> str:
    """The standard output of a command that must succeed."""
    words = [str(word) for word in command]
    ended = subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def base_url(system: SystemUnderTest) -> str:
    return "http://" + str(system.said["rest"]).removeprefix("http://")


def check(result: Any, prefix: str) -> None:
    names = [f"tasks/{prefix}-{number}" for number in range(3)]
    assert result["pages"] == [names[:2], names[2:]]
    assert result["states"][-1] == "SUCCEEDED"
    assert (result["output"], result["changed"]) == ("hello", "new")
    assert (result["version"], result["paused"]) == ("1", "PAUSED")
    assert result["missing"] == [404, "NOT_FOUND", "RESOURCE_NOT_FOUND"]
    assert result["refused"] == [400, VIOLATIONS]


def test_openapi_python_client(shared_system: SystemUnderTest, tmp_path: Path) -> None:
    """It generates every operation without a warning."""
    document = f"{base_url(shared_system)}/openapi.json"
    generate = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    printed = run(
        [*generate, "--url", document, "--output-path", tmp_path / "generated", "--fail-on-warning"], tmp_path
    )
    assert "arning" not in printed
    variables = {"ORDINAUT_TOKEN": shared_system.said["token"], "PYTHONPATH": str(tmp_path)}
    printed = run([sys.executable, SOURCES / "client.py", base_url(shared_system)], tmp_path, variables)
    check(json.loads(printed), "generated-py")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The TypeScript project with the packages of its lock file."""
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("openapi")
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], folder)
    return folder


def test_openapi_typescript(shared_system: SystemUnderTest, project: Path) -> None:
    """The client is compiled in strict mode against the generated types."""
    binaries = project / "node_modules/.bin"
    document = f"{base_url(shared_system)}/openapi.json"
    run([binaries / "openapi-typescript", document, "-o", "api.d.ts"], project)
    run([binaries / "tsc"], project)
    variables = {"ORDINAUT_TOKEN": shared_system.said["token"]}
    printed = run(["node", "built/client.js", base_url(shared_system)], project, variables)
    check(json.loads(printed), "generated-ts")


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((SOURCES / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
