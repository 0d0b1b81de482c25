"""A service announces readiness, is restarted when it exits, and ends with its owner."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ordinaut.embedded.postgres import ServerStartError
from ordinaut.embedded.service import Service
from ordinaut.embedded.supervisor import Supervisor, restart_delay
from tests.patience import PATIENCE

SERVICE = """
import json, os, signal, sys
print("a line that is no answer", flush=True)
if os.environ.get("BROKEN"):
    sys.exit("the reason is here")
stopped = []
signal.signal(signal.SIGTERM, lambda *_: stopped.append(1))
print(json.dumps({"service": "sample_service", "ready": True, "ports": {}}), flush=True)
sys.stderr.write("serving\\n")
while not stopped:
    signal.pause()
sys.stderr.write("drained\\n")
"""
OWNER = """
import asyncio, os, sys
from pathlib import Path
from ordinaut.embedded.service import Service

async def main():
    service = Service("sample_service", dict(os.environ), Path(sys.argv[1]), 1.0)
    await service.launch()
    print(service.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Counted(Service):
    """Records the process id of every launch."""

    launches: "asyncio.Queue[int]"

    async def launch(self) -> None:
        await super().launch()
        await self.launches.put(self.pid)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sample_service.py").write_text(SERVICE)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}


@pytest.fixture
async def service(tmp_path: Path, environment: dict[str, str]) -> AsyncIterator[Counted]:
    made = Counted("sample_service", environment, tmp_path / "service.log", 1.0)
    made.launches = asyncio.Queue()
    yield made
    await made.stop()


async def ended(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def test_it_announces_readiness_and_drains_on_stop(service: Service, tmp_path: Path) -> None:
    await service.launch()
    os.kill(service.pid, 0)
    await service.stop()
    assert (tmp_path / "service.log").read_text() == "serving\ndrained\n"


async def test_a_failed_start_includes_the_log(tmp_path: Path, environment: dict[str, str]) -> None:
    broken = Service("sample_service", {**environment, "BROKEN": "1"}, tmp_path / "service.log", 1.0)
    with pytest.raises(ServerStartError, match="the reason is here"):
        await broken.launch()


async def test_a_killed_service_is_restarted_at_once(service: Counted) -> None:
    await service.launch()
    first = await service.launches.get()
    supervisor = Supervisor("sample", service)
    supervisor.watch()
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        second = await service.launches.get()
    assert supervisor.pid == second != first
    os.kill(second, 0)
    await supervisor.stop()
    await ended(second)


async def test_it_ends_with_a_killed_owner(tmp_path: Path, environment: dict[str, str]) -> None:
    argv = [sys.executable, "-c", OWNER, str(tmp_path / "service.log")]
    owner = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE, env=environment)
    assert owner.stdout is not None
    pid = int(await owner.stdout.readline())
    owner.kill()
    await owner.wait()
    await ended(pid)
    assert (tmp_path / "service.log").read_text().endswith("drained\n")


def test_restart_delays_grow_to_a_maximum() -> None:
    assert [restart_delay(deaths) for deaths in (1, 2, 3, 4)] == [0.0, 0.2, 0.4, 0.8]
    assert restart_delay(1_000) == 5.0
