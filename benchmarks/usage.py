"""CPU time of processes and of what they have started."""

import os
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, its threads, its children, and those that have ended. Source: proc(5)."""
    own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    spent = sum(int(own[field]) for field in (11, 12, 13, 14)) / TICK
    return spent + sum(cpu_seconds(child) for child in _children(pid))


def resident_mib(pid: int) -> float:
    """Resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found
