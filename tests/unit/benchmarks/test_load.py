"""Load of other processes: the machine's runnable threads without those of the benchmark's own tree."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness.load import Load, LoadSampler, other_runnable


def thread(proc: Path, pid: int, tid: int, state: str, children: str = "") -> None:
    folder = proc / str(pid) / "task" / str(tid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{tid} (a (strange) name) {state} 1 2 3\n")
    (folder / "children").write_text(children)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "loadavg").write_text("9.00 5.00 2.00 7/300 4242\n")
    return tmp_path


def test_runnable_threads_of_the_own_tree_are_subtracted(proc: Path) -> None:
    thread(proc, 10, 10, "R", children="20 30 ")
    thread(proc, 10, 11, "S")
    thread(proc, 20, 20, "R")
    thread(proc, 20, 21, "R", children="40")
    thread(proc, 30, 30, "D")
    thread(proc, 40, 40, "R")
    assert other_runnable(10, proc) == 7 - 4


def test_a_process_that_exits_while_the_tree_is_read_is_skipped(proc: Path) -> None:
    thread(proc, 10, 10, "R", children="99")
    assert other_runnable(10, proc) == 7 - 1


@pytest.mark.parametrize(("others", "reportable"), [(0.0, True), (1.5, True), (1.51, False), (None, False)])
def test_figures_are_reportable_up_to_a_load_of_one_and_a_half(others: float | None, reportable: bool) -> None:
    assert Load(before=8.0, after=9.0, others=others).reportable is reportable


@pytest.fixture
def idle_process() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.terminate()


@pytest.fixture
def busy_process() -> Iterator[subprocess.Popen[bytes]]:
    program = "print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.terminate()


async def test_a_busy_process_outside_the_tree_is_other_load(
    idle_process: int, busy_process: subprocess.Popen[bytes]
) -> None:
    sampler = await LoadSampler.start(idle_process, sample_seconds=0.01)
    load = await sampler.stop()
    assert load.others is not None
    assert load.others > 1, busy_process.pid  # the sampler is outside this tree too, and counts as 1


async def test_the_load_is_unknown_if_sampling_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    sampler = await LoadSampler.start(os.getpid())
    load = await sampler.stop()
    assert load.others is None
    assert not load.reportable
