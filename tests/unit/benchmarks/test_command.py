"""`python -m benchmarks`: table, JSON and exit code when parts fail, and when the machine is busy."""

import json
import os
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks.harness.load import Load, LoadSampler
from benchmarks.harness.machine_lock import machine_lock
from benchmarks.harness.targets import Row

GOOD = Row("good", 1.0, "ms", required=5, goal=3)
MISSED = Row("too slow", 9.0, "ms", required=5, goal=3)


async def good(_folder: Path) -> AsyncGenerator[Row, None]:
    yield GOOD


async def missed(_folder: Path) -> AsyncGenerator[Row, None]:
    yield MISSED


async def broken(_folder: Path) -> AsyncGenerator[Row, None]:
    yield GOOD
    raise RuntimeError("the engine [a] ended")


async def interrupted(_folder: Path) -> AsyncGenerator[Row, None]:
    yield GOOD
    raise KeyboardInterrupt


class FixedLoad:
    """A sampler that always reports the same load."""

    def __init__(self, load: Load) -> None:
        self._load = load

    async def stop(self) -> Load:
        return self._load


Run = Callable[..., int]


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def set_load(value: float) -> None:
        async def start(_own_pid: int) -> FixedLoad:
            return FixedLoad(Load(4.0, 5.0, value))

        monkeypatch.setattr(LoadSampler, "start", start)

    set_load(0.25)
    return set_load


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, others: object) -> Run:
    """Runs the command with fake parts and arguments; returns its exit code."""
    parts = {"broken": broken, "good": good, "missed": missed, "interrupted": interrupted}
    monkeypatch.setattr(command, "PARTS", parts)
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(command, "lock_path", lambda: tmp_path / "lock")

    def call(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
        with pytest.raises(SystemExit) as end:
            command.main()
        assert isinstance(end.value.code, int)
        return end.value.code

    return call


def written(tmp_path: Path) -> Any:
    (path,) = (tmp_path / "results").iterdir()
    return json.loads(path.read_text())


def test_a_failed_part_is_an_entry_and_the_exit_code_is_one(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("broken", "good") == 1
    parts = written(tmp_path)["parts"]
    assert parts["broken"]["failure"] == "RuntimeError: the engine [a] ended"
    assert [figure["name"] for figure in parts["broken"]["figures"]] == ["good"]
    assert parts["good"]["failure"] is None
    output = capsys.readouterr().out
    assert "failed: RuntimeError: the engine [a] ended" in output
    assert output.count("1.00 ms") == 2


def test_complete_parts_give_exit_code_zero(run: Run) -> None:
    assert run("good", "missed") == 0


@pytest.mark.parametrize(("part", "code"), [("good", 0), ("missed", 1), ("broken", 1)])
def test_strict_runs_fail_on_missed_targets(run: Run, part: str, code: int) -> None:
    assert run("--strict", part) == code


def test_strict_runs_fail_on_figures_that_are_not_reportable(run: Run, others: Callable[[float], None]) -> None:
    others(1.6)
    assert run("--strict", "good") == 1


@pytest.mark.parametrize(("load", "reportable"), [(1.5, True), (1.6, False)])
def test_figures_measured_on_a_busy_machine_are_marked(
    run: Run, others: Callable[[float], None], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    load: float, reportable: bool,
) -> None:  # fmt: skip
    others(load)
    assert run("good") == 0
    document = written(tmp_path)
    part = document["parts"]["good"]
    assert part["load"] == {"before": 4.0, "after": 5.0, "others": load}
    assert (part["reportable"], part["figures"][0]["reportable"]) == (reportable, reportable)
    assert (document["max_other_load"], document["machine"]["cores"]) == (1.5, os.cpu_count())
    output = capsys.readouterr()
    assert ("not reportable" in output.out) is not reportable
    for stream in output:
        assert f"load 4.00 before, 5.00 after, {load:.2f} others" in stream
        assert f"{os.cpu_count()} cores" in stream


def test_an_interrupt_keeps_the_parts_that_are_complete(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks", "good", "interrupted"])
    with pytest.raises(KeyboardInterrupt):
        command.main()
    assert list(written(tmp_path)["parts"]) == ["good"]
    assert "1.00 ms" in capsys.readouterr().out


def test_a_second_benchmark_ends_with_exit_code_two(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with machine_lock(tmp_path / "lock"):
        assert run("good") == 2
    assert "another benchmark is running on this machine (pid " in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_an_unknown_part_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fast") == 2
    assert "unknown part fast; supported parts: broken, good, missed, interrupted" in capsys.readouterr().err
