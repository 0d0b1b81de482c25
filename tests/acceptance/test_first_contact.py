"""The first programs of the documentation run as they are printed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ordinaut.v1.agent_pb2 import Agent
from ordinaut.v1.agent_service_pb2 import CreateAgentRequest, CreateAgentTokenRequest
from tests.acceptance.system import SystemUnderTest

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
EXAMPLES = {"first-agent.md": "greet.py", "tools.md": "shout_tool.py"}


def python_block(page: str) -> str:
    return str(BLOCK.findall((ROOT / page).read_text())[0])


async def environment(system: SystemUnderTest, agent: str, *scopes: str) -> dict[str, str]:
    """The environment of a new agent."""
    async with system.client() as client:
        await client.agents.CreateAgent(CreateAgentRequest(agent_id=agent, agent=Agent(scopes=scopes)))
        token = await client.agents.CreateAgentToken(CreateAgentTokenRequest(parent=f"agents/{agent}"))
    return {**os.environ, "ORDINAUT_ADDRESS": system.said["grpc"], "ORDINAUT_TOKEN": token.secret}


def run(arguments: list[str], variables: Mapping[str, str], text: str | None = None) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments], input=text, env=variables, cwd=ROOT,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(("page", "example"), EXAMPLES.items())
async def test_a_page_prints_the_example(page: str, example: str) -> None:
    assert python_block(f"docs/how-to/{page}") == (ROOT / "examples/first_agent" / example).read_text()


async def test_the_first_agent_runs_with_the_scopes_of_its_page(shared_system: SystemUnderTest) -> None:
    """Also a second time."""
    page = (ROOT / "docs/how-to/first-agent.md").read_text()
    scopes = re.findall(r"--scope (\S+)", page)
    variables = await environment(shared_system, "greeter", *scopes)
    assert '"Hello, world!"' in run(["examples/first_agent/greet.py"], variables)
    assert '"Hello, world!"' in run(["examples/first_agent/greet.py"], variables)


async def test_the_first_tool_is_registered_and_called(shared_system: SystemUnderTest) -> None:
    serving = await environment(shared_system, "shouter", "tools:write")
    calling = await environment(shared_system, "listener", "tools:call:text.*", "tools:read", "runs:read")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    answer = called_while_served(port, serving, calling, shared_system.said["rest"].removeprefix("http://"))
    assert (answer["state"], answer["output"]) == ("SUCCEEDED", {"text": "HELLO"})


def called_while_served(port: str, serving: Mapping[str, str], calling: Mapping[str, str], rest: str) -> Any:
    """The answer to the command of the page while the example serves the tool."""
    call = re.search(r"(curl -s localhost.*?)\n```", (ROOT / "docs/how-to/tools.md").read_text(), re.DOTALL)
    assert call is not None
    command = ["sh", "-c", call[1].replace("localhost:8080", rest)]
    program = [sys.executable, "examples/first_agent/shout_tool.py", port]
    with subprocess.Popen(program, env=serving, cwd=ROOT, stdout=subprocess.PIPE, text=True) as tool:
        try:
            assert tool.stdout is not None
            assert tool.stdout.readline() == "ready\n"
            ended = subprocess.run(command, env=calling, capture_output=True, text=True, timeout=60, check=False)
            return json.loads(ended.stdout)
        finally:
            tool.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/clients.md"])
async def test_the_python_snippet_runs_as_a_file(page: str, shared_system: SystemUnderTest, tmp_path: Path) -> None:
    variables = {
        **os.environ,
        "ORDINAUT_ADDRESS": shared_system.said["grpc"],
        "ORDINAUT_TOKEN": shared_system.said["token"],
    }
    heartbeat = re.search(r"<<'YAML'\n(.*?)YAML\n", (ROOT / "README.md").read_text(), re.DOTALL)
    assert heartbeat is not None
    run(["-m", "ordinaut.cli", "task", "apply", "-f", "-"], variables, heartbeat[1])
    snippet = tmp_path / "snippet.py"
    snippet.write_text(python_block(page))
    assert "runs/" in run([str(snippet)], variables)
