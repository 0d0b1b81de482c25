"""An agent in Node needs no more than gRPC and the protos: it creates, runs, watches and cancels tasks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import google.api
import pytest

from tests.acceptance.system import SystemUnderTest

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests/foreign/node"
DESCRIPTORS = ROOT / "ordinaut/v1/descriptors.binpb"
PROTOS = [ROOT / "protos", Path(google.api.__path__[0]).parents[1]]
NOT_FOUND = 5


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node project with what its lock file names."""
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("no Node here")  # at home only: where the build decides, it is installed
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("node_modules", "gen"), dirs_exist_ok=True)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    ended = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder


def node(project: Path, system: SystemUnderTest, script: str, *arguments: Path) -> Any:
    """What a script of the project prints."""
    ended = subprocess.run(
        ["node", script, system.said["grpc"], *arguments],
        cwd=project, env={**os.environ, "ORDINAUT_TOKEN": system.said["token"]},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_node_agent_creates_runs_watches_and_cancels(project: Path, shared_system: SystemUnderTest) -> None:
    saw = node(project, shared_system, "client.mjs", *PROTOS)
    assert saw["greeted"][-1] == "SUCCEEDED"
    assert saw["ended"][-1] == "CANCELLED"
    assert saw["missing"] == {"code": NOT_FOUND, "details": 1}


def test_buf_generates_a_client_from_the_descriptors_alone(project: Path, shared_system: SystemUnderTest) -> None:
    generate = [str(Path(sys.executable).parent / "buf"), "generate", str(DESCRIPTORS), "--include-imports"]
    ended = subprocess.run(generate, cwd=project, capture_output=True, text=True, timeout=90, check=False)
    assert ended.returncode == 0, ended.stderr
    saw = node(project, shared_system, "generated.mjs")
    assert (saw["agent"], saw["project"]) == ("agents/admin", "default")
    assert "tools/orchestrator.set" in saw["tools"]


def test_the_npm_package_works_outside_the_source_tree(project: Path, shared_system: SystemUnderTest) -> None:
    """Its dependencies are those of the project, which are installed."""
    programs = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    built = subprocess.run(
        ["sh", "scripts/npm.sh", project / "packed"],
        cwd=ROOT, env=programs, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    [tarball] = (project / "packed").glob("ordinaut-*.tgz")
    options = ["--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    install = ["npm", "install", *options, str(tarball)]
    ended = subprocess.run(install, cwd=project, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr
    saw = node(project, shared_system, "packaged.mjs")
    assert (saw["state"], saw["missing"]) == ("SUCCEEDED", NOT_FOUND)
    assert saw["output"] == {"text": "hello", "list": [1.5, None, {"deep": True}], "none": {}}
    assert "tools/orchestrator.set" in saw["tools"]


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((PROJECT / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
