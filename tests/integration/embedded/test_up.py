"""`ordinaut up` starts and supervises all processes, and leaves none behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ordinaut.client import Client
from ordinaut.client.document import read
from ordinaut.client.retry import RetryPolicy, with_retries
from ordinaut.embedded import system
from ordinaut.embedded.folder import locked, processes_in
from ordinaut.v1.agent_service_pb2 import WhoAmIRequest
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.task_service_pb2 import CreateTaskRequest, RunTaskRequest
from tests.patience import PATIENCE

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENDS_WITHIN = 60.0
UP = [sys.executable, "-m", "ordinaut.cli", "up", "--json"]
Described = dict[str, Any]
Process = asyncio.subprocess.Process


async def begin(folder: Path, *options: str) -> Process:
    argv = [*UP, "--data-dir", str(folder), "--grpc-port", "0", "--rest-port", "0", *options]
    return await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@asynccontextmanager
async def running(folder: Path, *options: str) -> AsyncIterator[tuple[Process, Described]]:
    process = await begin(folder, *options)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await process.stdout.readline()
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Described]:
    """One that serves before and after each test that takes it."""
    async with running(tmp_path_factory.mktemp("up")) as (_, described):
        yield described


async def whoami(described: Described) -> str:
    async with Client(described["grpc"], described["token"]) as client:
        answer = await client.agents.WhoAmI(WhoAmIRequest())
        return f"{answer.agent.name} {answer.project}"


async def ended(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        async with asyncio.timeout(ENDS_WITHIN):
            await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def pids_of(described: Described) -> list[int]:
    return [pid for pids in described["pids"].values() for pid in pids]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_it_serves_and_stops_on_a_signal(tmp_path: Path) -> None:
    async with running(tmp_path, "--workers", "2") as (process, described):
        assert await whoami(described) == "agents/admin default"
        assert {name: len(pids) for name, pids in described["pids"].items()} == {
            "postgres": 1,
            "valkey": 1,
            "gateway": 1,
            "scheduler": 1,
            "pipeline_engine": 1,
            "worker": 2,
        }
        process.terminate()
        async with asyncio.timeout(ENDS_WITHIN):
            assert await process.wait() == 0
        for pid in pids_of(described):
            await ended(pid)
    assert mode(tmp_path / "admin.token") == 0o600


async def test_only_data_survives_a_kill(tmp_path: Path) -> None:
    async with running(tmp_path) as (process, described):
        process.kill()
        await process.wait()
    async with running(tmp_path) as (_, again):
        assert again["token"] == described["token"]
        assert await whoami(again) == "agents/admin default"
        for pid in pids_of(described):
            await ended(pid)


async def test_a_killed_process_is_restarted_at_its_address(up: Described) -> None:
    for pid in pids_of(up):
        os.kill(pid, signal.SIGKILL)
        await ended(pid)
    async with asyncio.timeout(ENDS_WITHIN), Client(up["grpc"], up["token"]) as client:
        run = await run_once(client)
        assert run.state == Run.SUCCEEDED
        async for event in client.watch_events("demo.done", after_position=0):
            assert event.topic == "demo.done"
            break


async def run_once(client: Client) -> Run:
    """Creates and runs a task as soon as all services respond."""
    steps = [{"id": "tell", "uses": "orchestrator.emit", "with": {"topic": "demo.done", "data": {}}}]
    create = read({"task": {"pipeline": {"steps": steps}}, "task_id": "demo"}, CreateTaskRequest(request_id="create"))
    await with_retries(lambda: client.tasks.CreateTask(create), RetryPolicy())
    start = RunTaskRequest(name="tasks/demo", request_id="run")
    run = await with_retries(lambda: client.tasks.RunTask(start), RetryPolicy())
    async for seen in client.watch_run(run.name):
        run = seen
    return run


async def test_two_instances_run_on_one_machine(up: Described, tmp_path: Path) -> None:
    async with running(tmp_path) as (_, second):
        assert up["token"] != second["token"]
        assert await whoami(up) == await whoami(second) == "agents/admin default"


async def test_a_second_instance_on_the_same_folder_is_rejected(up: Described) -> None:
    process = await begin(Path(up["data_dir"]))
    said, why = await process.communicate()
    assert (process.returncode, said) == (1, b"")
    assert b"in use by another running Ordinaut" in why
    assert await whoami(up) == "agents/admin default"


async def test_an_aborted_start_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = asyncio.Event()

    async def for_ever(_url: str, _folder: Path) -> str:
        reached.set()
        return str(await asyncio.Event().wait())

    monkeypatch.setattr(system, "_prepare_database", for_ever)
    starting = asyncio.create_task(system.System(system.Plan(tmp_path, 0, 0)).__aenter__())
    async with asyncio.timeout(PATIENCE):
        await reached.wait()
    assert processes_in(tmp_path / "postgres" / "cluster")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert processes_in(tmp_path / "postgres" / "cluster") == processes_in(tmp_path / "valkey") == []
    with locked(tmp_path):
        pass
