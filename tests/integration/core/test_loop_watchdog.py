"""A process whose loop is held by native code ends itself after some CPU time, here one second instead of three."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.patience import PATIENCE

PROGRAM = """
import asyncio, re, sys, time
from ordinaut.rpc import loop_watchdog

loop_watchdog.CPU_SECONDS = 1.0

async def main():
    stop = loop_watchdog.watch_loop(asyncio.get_running_loop())
    {body}

asyncio.run(main())
"""


def run(path: Path, body: str) -> "subprocess.CompletedProcess[str]":
    program = path / "program.py"
    program.write_text(PROGRAM.format(body=body))
    return subprocess.run([sys.executable, program], capture_output=True, text=True, check=False, timeout=PATIENCE)


def test_a_loop_that_native_code_holds_ends_its_process_with_its_stack(tmp_path: Path) -> None:
    ended = run(tmp_path, "re.match('(a+)+$', 'a' * 60 + 'b')")
    assert ended.returncode == -signal.SIGPROF
    assert "in main" in ended.stderr


def test_cpu_time_of_a_loop_that_turns_does_not_count(tmp_path: Path) -> None:
    """Two seconds of CPU time, in slices that the loop interrupts."""
    slices = "\n    ".join(
        ("end = time.process_time() + 2", "while time.process_time() < end:", "    await asyncio.sleep(0)")
    )
    assert run(tmp_path, slices).returncode == 0


async def test_a_stopped_process_lives(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    body = "print('ready', flush=True)\n    while not sys.stdin.readline(): await asyncio.sleep(0)\n    stop()"
    program.write_text(PROGRAM.format(body=body))
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    while time.monotonic() < stopped + 2:
        await asyncio.sleep(0.1)
    process.send_signal(signal.SIGCONT)
    await process.communicate(b"go\n")
    assert process.returncode == 0
