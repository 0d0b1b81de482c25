"""What must not be done twice is done once, whoever dies: the tool after acting, the engine or the worker meanwhile."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio
from google.protobuf import json_format

from ordinaut.client import Client
from ordinaut.embedded.process import command
from ordinaut.v1.run_pb2 import Run, StepRun
from ordinaut.v1.run_service_pb2 import CreateRunRequest, WatchRunRequest
from ordinaut.v1.tool_pb2 import Tool
from ordinaut.v1.tool_service_pb2 import CreateToolRequest
from tests.acceptance.mail_room import noted, sent
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import ended, get_run
from tests.patience import PATIENCE
from tests.ports import lasting_port
from tests.sample import amount

pytestmark = pytest.mark.asyncio(loop_scope="session")
DEATHS = amount("ORDINAUT_TEST_DEATHS", 10, 50)
DRAIN_SECONDS = 120.0
AT_ONCE = 5
PATIENT = {"max": 100, "delay": "0.250s", "factor": 1}


class Post:
    """The mail room's process, started again whenever it dies, and the system that sends by it."""

    def __init__(self, folder: Path, system: SystemUnderTest, client: Client) -> None:
        self.system, self.client = system, client
        self.log = folder / "log"
        self.log.touch()
        self.deaths = 0
        self.port = lasting_port()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep(self) -> None:
        argv = [sys.executable, "-m", "tests.acceptance.mail_room", str(self.port), str(self.log)]
        while True:
            process = await asyncio.create_subprocess_exec(*command(argv, signal.SIGKILL))
            try:
                await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            self.deaths += 1

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Something listens in its place and takes nobody: calls begin, and their requests are never sent."""
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(0)
            crowd = [socket.socket() for _ in range(4)]
            for visitor in crowd:
                visitor.setblocking(False)
                with suppress(BlockingIOError):
                    visitor.connect(("127.0.0.1", self.port))
            try:
                yield
            finally:
                for visitor in crowd:
                    visitor.close()

    async def register(self) -> None:
        find = {"name": "tools/mail.find", "effect": "READ", "http": {"url": self._url("find")}, "retry": PATIENT}
        send = {
            "name": "tools/mail.send",
            "effect": "UNSAFE",
            "http": {"url": self._url("send")},
            "lookup": {"uses": "mail.find", "arguments": {"key": "${idempotency_key}"}},
            "retry": PATIENT,
        }
        for tool in (find, send):
            await self.client.tools.CreateTool(CreateToolRequest(tool=json_format.ParseDict(tool, Tool())))

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    async def run(self, fault: str) -> str:
        step = {"id": "send", "uses": "mail.send", "with": {"fault": fault}}
        document = {"version": 1, "steps": [step], "output": "${steps.send.found}"}
        request = json_format.ParseDict({"pipeline": document}, CreateRunRequest())
        return (await self.client.runs.CreateRun(request)).name

    async def begun(self, name: str) -> None:
        """Waits until the run's call is recorded as begun."""
        async with asyncio.timeout(PATIENCE):
            async for answer in self.client.runs.WatchRun(WatchRunRequest(name=name)):
                if [step.state for step in (await get_run(self.client, name)).steps] == [StepRun.RUNNING]:
                    return
                assert answer.run.state in {Run.QUEUED, Run.RUNNING}

    async def acted(self, name: str) -> None:
        """Waits until the tool has acted for the run: its own log says so, and nothing tells of a file's growth."""
        async with asyncio.timeout(PATIENCE):
            while not any(name.removeprefix("runs/") in key for key in sent(self.log)):
                await asyncio.sleep(0.02)


@pytest_asyncio.fixture(loop_scope="session")
async def post(tmp_path: Path, mortal_system: SystemUnderTest) -> AsyncIterator[Post]:
    async with mortal_system.client() as client:
        made = Post(tmp_path, mortal_system, client)
        await made.register()
        yield made


async def test_an_unsafe_call_acts_once(post: Post) -> None:
    async with post.open():
        names: list[str] = []
        while len(names) < DEATHS:
            some = [await post.run("die") for _ in range(AT_ONCE)]
            assert await ended(post.client, some, DRAIN_SECONDS) == {name: ["succeeded"] for name in some}
            names += some
        assert len(sent(post.log)) == len(set(sent(post.log))) == DEATHS
        for name in names:
            run = await get_run(post.client, name)
            assert run.output.bool_value, "the answer was lost, and found again"
            assert run.steps[-1].state == StepRun.SUCCEEDED
    print(f"{DEATHS} calls, {post.deaths} deaths of the tool, {len(noted(post.log, 'asked'))} lookups")
    for service in ("pipeline_engine", "worker"):
        await killed_before_the_call(post, service)
        await killed_before_the_answer(post, service)


async def killed_before_the_call(post: Post, service: str) -> None:
    """The start is recorded and nothing was sent: the lookup says no, and the call is made."""
    asked = len(noted(post.log, "asked"))
    with post.shut():
        name = await post.run("")
        await post.begun(name)
        await post.system.kill(service)
    async with post.open():
        assert await ended(post.client, [name], DRAIN_SECONDS) == {name: ["succeeded"]}
    assert len(noted(post.log, "asked")) > asked
    assert [name.removeprefix("runs/") in key for key in sent(post.log)].count(True) == 1
    assert not (await get_run(post.client, name)).output.bool_value


async def killed_before_the_answer(post: Post, service: str) -> None:
    """The tool has acted and the answer is lost: the lookup has it."""
    async with post.open():
        name = await post.run("hang")
        await post.acted(name)
        await post.system.kill(service)
        assert await ended(post.client, [name], DRAIN_SECONDS) == {name: ["succeeded"]}
    assert [name.removeprefix("runs/") in key for key in sent(post.log)].count(True) == 1
    assert (await get_run(post.client, name)).output.bool_value
