"""Load that other processes put on the machine while a part is measured.

The load average cannot show it: it includes the benchmark's own processes, and for minutes those of the part before.
So a small process (`python -m benchmarks.harness.load PID SECONDS`) samples the runnable threads of the machine and
subtracts those of the benchmark's process tree. It is a separate process to keep its work out of the measured client.
"""

import asyncio
import os
import select
import signal
import statistics
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MAX_OTHER_LOAD = 1.5  # runnable threads of other processes, mean over a part
SAMPLE_SECONDS = 1.0
PROC = Path("/proc")


@dataclass(frozen=True)
class Load:
    """The load average (1 minute) before and after a part, and the mean load of other processes during it.

    `others` is None if it could not be sampled.
    """

    before: float
    after: float
    others: float | None

    @property
    def reportable(self) -> bool:
        """Whether other processes left the machine quiet enough for figures that may be published."""
        return self.others is not None and self.others <= MAX_OTHER_LOAD


class LoadSampler:
    """A running sampler; `await LoadSampler.start(pid)`, then `await sampler.stop()`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._before = os.getloadavg()[0]

    @classmethod
    async def start(cls, own_pid: int, sample_seconds: float = SAMPLE_SECONDS) -> Self:
        """Starts to sample; the tree of `own_pid` is not counted."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.harness.load", str(own_pid), str(sample_seconds)),
            cwd=Path(__file__).parents[2],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def stop(self) -> Load:
        """Ends the process and returns what it has measured."""
        after = os.getloadavg()[0]
        output, _ = await self._process.communicate(b"")  # closes its standard input
        others = float(output) if self._process.returncode == 0 else None
        return Load(self._before, after, others)


def other_runnable(own_pid: int, proc: Path = PROC) -> float:
    """Runnable threads outside the tree of `own_pid`, at this instant.

    One value can be negative: threads start and stop while the tree is read. The total is read before and after the
    tree, and callers average many samples, so that the errors cancel out.
    """
    before = _runnable(proc)
    own = _runnable_in_tree(own_pid, proc)
    return (before + _runnable(proc)) / 2 - own


def _runnable(proc: Path) -> int:
    """The fourth field of /proc/loadavg is `runnable/total`, see proc(5)."""
    return int((proc / "loadavg").read_text().split()[3].partition("/")[0])


def _runnable_in_tree(pid: int, proc: Path) -> int:
    count = 0
    with suppress(OSError):  # the process has exited since its parent was read
        for thread in (proc / str(pid) / "task").iterdir():
            with suppress(OSError):  # the same for a thread
                count += (thread / "stat").read_text().rpartition(")")[2].split()[0] == "R"
                children = (thread / "children").read_text().split()
                count += sum(_runnable_in_tree(int(child), proc) for child in children)
    return count


def main() -> None:
    """Samples until standard input is closed, also by the exit of the parent; prints the mean."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent closes the pipe
    own_pid, seconds = int(sys.argv[1]), float(sys.argv[2])
    samples = [other_runnable(own_pid)]
    while not select.select([sys.stdin], [], [], seconds)[0]:
        samples.append(other_runnable(own_pid))
    print(max(0.0, statistics.fmean(samples)))


if __name__ == "__main__":
    main()
