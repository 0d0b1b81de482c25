"""An agent in Node needs two packages and the protos: it creates, runs, watches and cancels tasks."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import google.api
import pytest

from tests.acceptance.system import SystemUnderTest

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "tests/foreign/node"
PROTOS = [ROOT / "protos", Path(google.api.__path__[0]).parents[1]]
NOT_FOUND = 5


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node project with what its lock file names."""
    if shutil.which("npm") is None and not os.environ.get("CI"):
        pytest.skip("no Node here")  # at home only: where the build decides, it is installed
    folder = tmp_path_factory.mktemp("node")
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("node_modules"), dirs_exist_ok=True)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    ended = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_a_node_agent_creates_runs_watches_and_cancels(project: Path, shared_system: SystemUnderTest) -> None:
    said = shared_system.said
    ended = subprocess.run(
        ["node", "client.mjs", said["grpc"], *PROTOS],
        cwd=project, env={**os.environ, "ORDINAUT_TOKEN": said["token"]},
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    saw = json.loads(ended.stdout)
    assert saw["greeted"][-1] == "SUCCEEDED"
    assert saw["ended"][-1] == "CANCELLED"
    assert saw["missing"] == {"code": NOT_FOUND, "details": 1}


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((PROJECT / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert not re.search(r'"resolved"', json.dumps(lock))
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
