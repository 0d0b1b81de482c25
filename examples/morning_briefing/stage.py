"""The processes of the demo: Ordinaut and three agents, which end with this process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from examples.morning_briefing.maildir import KEY_HEADER, POLICY
from examples.morning_briefing.reporter import CheckFailedError
from ordinaut.client import Client
from ordinaut.embedded.process import ChildProcess
from ordinaut.v1.agent_pb2 import Agent
from ordinaut.v1.agent_service_pb2 import CreateAgentRequest, CreateAgentTokenRequest

LEASE_SECONDS = 2
START_SECONDS = 60.0
STOP_SECONDS = 30.0
TOOL_SCOPES = ("tools:read", "tools:write")
OWNER_SCOPES = (
    "tasks:read",
    "tasks:write",
    "tasks:run",
    "runs:read",
    "tools:read",
    "tools:call:*",
    "state:read:briefing",
    "state:write:briefing",
    "events:read",
    "events:publish:briefing.*",
)
AGENTS: Mapping[str, tuple[str, ...]] = {
    "calendar": (),
    "almanac": ("--answer-delay", "1.2"),  # slow enough to be killed during a call
    "mail": ("--answer-delay", "0.8"),  # sends at once and confirms late: a kill in between is the hardest case
}


@dataclass(frozen=True)
class Stage:
    """The running system; `admin` has all scopes, `owner` is the agent that owns the tasks."""

    folder: Path
    system: Mapping[str, Any]
    admin: Client
    owner: Client

    @property
    def maildir(self) -> Path:
        """The Maildir of the mail agent."""
        return self.folder / "Maildir"

    def calls(self, agent: str, root: str = "") -> list[dict[str, Any]]:
        """The calls in the log of an agent whose idempotency key starts with `root`."""
        log = self.folder / f"{agent}.jsonl"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [call for call in map(json.loads, lines) if call["key"].startswith(root)]

    def mails(self, root: str) -> list[EmailMessage]:
        """The delivered messages whose idempotency key starts with `root`."""
        files = [file for folder in ("new", "cur") for file in (self.maildir / folder).iterdir()]
        messages = [message_from_bytes(file.read_bytes(), policy=POLICY) for file in files]
        return [message for message in messages if str(message[KEY_HEADER]).startswith(root)]


@asynccontextmanager
async def running_stage() -> AsyncIterator[Stage]:
    """Starts all processes in a temporary folder; stops them and removes the folder on exit.

    Raises:
        CheckFailedError: a process did not become ready.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ordinaut-demo-")))
        system = await _ready(_launch(stack, folder, "ordinaut", _system_command(folder), {}), folder, "ordinaut")
        address = str(system["grpc"])
        admin = await stack.enter_async_context(Client(address, str(system["token"])))
        owner = await stack.enter_async_context(Client(address, await _new_agent(admin, "concierge", OWNER_SCOPES)))
        stage = Stage(folder, system, admin, owner)
        agents = {name: await _launch_agent(stack, stage, name) for name in AGENTS}
        for name, process in agents.items():
            await _ready(process, folder, name)
        yield stage


def _system_command(folder: Path) -> list[str]:
    ports = ["--grpc-port", "0", "--rest-port", "0"]
    return [sys.executable, "-m", "ordinaut.cli", "up", "--json", "--data-dir", str(folder / "data"), *ports]


async def _launch_agent(stack: AsyncExitStack, stage: Stage, name: str) -> ChildProcess:
    token = await _new_agent(stage.admin, name, TOOL_SCOPES)
    module = f"examples.morning_briefing.{name}_agent"
    options = ["--calls", str(stage.folder / f"{name}.jsonl"), *AGENTS[name]]
    if name == "mail":
        options += ["--maildir", str(stage.maildir)]
    environment = {"ORDINAUT_ADDRESS": str(stage.system["grpc"]), "ORDINAUT_TOKEN": token}
    return _launch(stack, stage.folder, name, [sys.executable, "-m", module, *options], environment)


async def _new_agent(admin: Client, name: str, scopes: tuple[str, ...]) -> str:
    """Creates an agent with these scopes.

    Returns:
        The token of the agent.
    """
    await admin.agents.CreateAgent(CreateAgentRequest(agent_id=name, agent=Agent(scopes=scopes)))
    token = await admin.agents.CreateAgentToken(CreateAgentTokenRequest(parent=f"agents/{name}"))
    return token.secret


def _launch(
    stack: AsyncExitStack, folder: Path, name: str, command: list[str], environment: Mapping[str, str]
) -> ChildProcess:
    settings = {**os.environ, "ORDINAUT_LEASE_SECONDS": str(LEASE_SECONDS), **environment}
    with (folder / f"{name}.log").open("wb") as log:
        process = ChildProcess(command, signal.SIGTERM, environment=settings, stdout=subprocess.PIPE, stderr=log)
    stack.push_async_callback(process.stop, signal.SIGTERM, STOP_SECONDS)
    return process


async def _ready(process: ChildProcess, folder: Path, name: str) -> dict[str, Any]:
    """The line of JSON that the process prints when it is ready."""
    stdout = process.stdout
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await asyncio.to_thread(stdout.readline) if stdout else b""
        return dict(json.loads(line))
    except (TimeoutError, ValueError):
        lines = (folder / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
        raise CheckFailedError(f"{name} starts; its log ends with: {' | '.join(lines)}") from None
