"""`ordinaut pipeline simulate` and `ordinaut run replay`."""

import json
from pathlib import Path

from google.protobuf import json_format

from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.run_service_pb2 import ReplayRunResponse, SimulateRunResponse
from tests.unit.cli.conftest import Cli, Gateway

STEP = {"id": "w", "uses": "weather.forecast", "with": {"city": "Porto"}}
SIMULATED = json_format.ParseDict(
    {
        "run": {
            "state": "FAILED",
            "steps": [
                {"path": "w", "state": "SUCCEEDED", "attempt": 1, "input": {"city": "Porto"}, "output": {"temp": 21}},
                {"path": "x", "state": "FAILED", "attempt": 2, "error": {"code": "TIMEOUT", "message": "slow"}},
            ],
            "error": {"code": "TIMEOUT", "message": "slow"},
        },
        "generated": ["w"],
        "warnings": ["mocks[1] was never used"],
    },
    SimulateRunResponse(),
)


def written(tmp_path: Path, name: str, document: object) -> str:
    path = tmp_path / name
    path.write_text(json.dumps(document))
    return str(path)


def test_a_pipeline_is_simulated_on_mocks(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    """One line for each attempt; generated results and warnings on standard error."""
    gateway.answers["SimulateRun"] = SIMULATED
    pipeline = written(tmp_path, "pipeline.json", {"steps": [STEP]})
    answer = written(tmp_path, "answer.json", {"temp": 3})
    more = written(tmp_path, "mocks.json", {"mocks": [{"tool": "a.b", "error": {"code": "TIMEOUT"}, "duration": "2m"}]})
    result = cli(
        *("pipeline", "simulate", pipeline, "--mock", 'a={"n": 1}', "--mock", f"loop[*].b={answer}", "--mocks", more),
        *("-p", "city=Porto", "--event", '{"data": {"n": 2}}', "--seed", "7", "--start", "2027-01-15T08:00:00Z"),
    )
    assert result.exit_code == 1
    assert '{"city": "Porto"}' in result.out
    assert "TIMEOUT: slow" in result.out
    assert result.out.splitlines()[-1].startswith("FAILED at")
    assert result.err.splitlines() == ["generated: w", "warning: mocks[1] was never used"]
    request = json_format.MessageToDict(gateway.requests("SimulateRun")[0], preserving_proto_field_name=True)
    assert request == {
        "pipeline": {"steps": [STEP]},
        "params": {"city": "Porto"},
        "event": {"data": {"n": 2.0}},
        "mocks": [
            {"step": "a", "output": {"n": 1.0}},
            {"step": "loop[*].b", "output": {"temp": 3.0}},
            {"tool": "a.b", "error": {"code": "TIMEOUT"}, "duration": "120s"},
        ],
        "seed": 7,
        "start_time": "2027-01-15T08:00:00Z",
    }


def test_a_task_is_simulated_from_its_file_or_by_name(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    """Only the fields of a file that apply to a run are sent."""
    gateway.answers["SimulateRun"] = SimulateRunResponse(run=Run(state=Run.SUCCEEDED))
    task = {"pipeline": {"steps": [STEP]}, "params": {"a": 1}, "run_policy": {"retry": {"max": 1}, "priority": 3}}
    assert cli("pipeline", "simulate", written(tmp_path, "task.json", task), "-p", "b=2").exit_code == 0
    assert cli("pipeline", "simulate", "--task", "briefing", "--recording", "1").exit_code == 0
    file, name = gateway.requests("SimulateRun")
    assert json_format.MessageToDict(file.params) == {"a": 1.0, "b": 2.0}
    assert (file.run_policy.retry.max, file.run_policy.priority) == (1, 0)
    assert (name.task, name.recording) == ("tasks/briefing", "runs/1")


def test_malformed_mocks_are_rejected(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    """No request is sent."""
    pipeline = written(tmp_path, "pipeline.json", {"steps": [STEP]})
    for wrong in ("a", "=1", "a=nowhere.json"):
        assert cli("pipeline", "simulate", pipeline, "--mock", wrong).exit_code == 2
    assert cli("pipeline", "simulate").exit_code == 2
    assert not gateway.asked


def test_a_replay_prints_differences(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    """Exit code 1 and a readable patch; 0 if nothing differs."""
    patch = [{"op": "replace", "path": "/input/city", "value": "Faro"}, {"op": "remove", "path": "/output"}]
    steps = [{"path": "w", "attempt": 1, "outcome": "DIFFERENT", "difference": patch}]
    different = {"steps": steps, "end": "SAME", "warnings": ["mocks[0] was never used"]}
    gateway.queue["ReplayRun"] = [
        json_format.ParseDict(different, ReplayRunResponse()),
        json_format.ParseDict({"same": True, "end": "SAME"}, ReplayRunResponse()),
    ]
    pipeline = written(tmp_path, "pipeline.json", {"steps": [STEP]})
    result = cli("run", "replay", "1", "--pipeline", pipeline, "--mock", "a=1")
    assert (result.exit_code, result.err) == (1, "warning: mocks[0] was never used\n")
    assert '/input/city = "Faro"; /output was removed' in result.out
    assert result.out.splitlines()[-1] == "end SAME"
    assert cli("run", "replay", "runs/1", "--present-version").exit_code == 0
    other, present = gateway.requests("ReplayRun")
    assert (other.name, other.pipeline["steps"][0]["id"], other.mocks[0].step) == ("runs/1", "w", "a")
    assert (present.name, present.present_version) == ("runs/1", True)
