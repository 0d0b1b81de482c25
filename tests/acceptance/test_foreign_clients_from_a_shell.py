"""grpcurl, buf curl and curl need nothing of ours: the server describes itself and tells whether it is well."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from ordinaut.v1.run_pb2 import Run
from tests.acceptance.system import SystemUnderTest

PROGRAMS = Path(sys.executable).parent
NOUNS = ("Agent", "Approval", "Event", "Run", "State", "System", "Task", "Tool")
SERVICES = [f"{noun}Service" for noun in NOUNS]
PIPELINE = {"version": 1, "steps": [{"id": "greet", "uses": "orchestrator.set", "with": {"text": "hello"}}]}
INTERNAL = {"scheduler": "SCHEDULER", "pipeline_engine": "ENGINE", "worker": "WORKER"}
NOT_SERVING = 1

Call = Callable[..., "subprocess.CompletedProcess[str]"]


def called(command: Sequence[object], text: str = "") -> "subprocess.CompletedProcess[str]":
    words = [str(word) for word in command]
    return subprocess.run(words, input=text, capture_output=True, text=True, timeout=60, check=False)


def grpcurl(system: SystemUnderTest, method: str, request: object) -> "subprocess.CompletedProcess[str]":
    caller = ("-H", f"authorization: Bearer {system.said['token']}")
    command = (PROGRAMS / "grpcurl", "-plaintext", *caller, "-d", "@", system.said["grpc"], method)
    return called(command, json.dumps(request))


def buf_curl(system: SystemUnderTest, method: str, request: object) -> "subprocess.CompletedProcess[str]":
    caller = ("--header", f"Authorization: Bearer {system.said['token']}")
    wire = ("--protocol", "grpc", "--http2-prior-knowledge")
    command = (PROGRAMS / "buf", "curl", *wire, *caller, "--data", "@-", f"http://{system.said['grpc']}/{method}")
    return called(command, json.dumps(request))


def answers(ended: "subprocess.CompletedProcess[str]") -> list[Any]:
    """Every message that a call printed; the call must have gone well."""
    assert ended.returncode == 0, ended.stderr
    decoder, left, found = json.JSONDecoder(), ended.stdout.strip(), []
    while left:
        message, end = decoder.raw_decode(left)
        found.append(message)
        left = left[end:].strip()
    return found


def internal_address(system: SystemUnderTest, service: str) -> str:
    """Where one of the processes behind the gateway listens: only its own environment says so."""
    environment = Path(f"/proc/{system.pids(service)[0]}/environ").read_bytes().decode().split("\0")
    prefix = f"ORDINAUT_{INTERNAL[service]}_LISTEN="
    (found,) = [variable.removeprefix(prefix) for variable in environment if variable.startswith(prefix)]
    return found


def test_grpcurl_lists_the_public_services_and_no_others(shared_system: SystemUnderTest) -> None:
    ended = called((PROGRAMS / "grpcurl", "-plaintext", shared_system.said["grpc"], "list"))
    names = set(ended.stdout.split())
    assert {f"ordinaut.v1.{service}" for service in SERVICES} <= names
    assert not [name for name in names if "internal" in name]


def test_grpcurl_describes_a_method_and_its_request(shared_system: SystemUnderTest) -> None:
    describe = (PROGRAMS / "grpcurl", "-plaintext", shared_system.said["grpc"], "describe")
    assert "CreateTaskRequest" in called((*describe, "ordinaut.v1.TaskService.CreateTask")).stdout
    assert "request_id" in called((*describe, "ordinaut.v1.CreateTaskRequest")).stdout


def test_buf_curl_lists_the_methods(shared_system: SystemUnderTest) -> None:
    wire = ("--protocol", "grpc", "--http2-prior-knowledge", "--list-methods")
    ended = called((PROGRAMS / "buf", "curl", *wire, f"http://{shared_system.said['grpc']}"))
    assert "ordinaut.v1.TaskService/CreateTask" in ended.stdout.split(), ended.stderr


def test_every_process_answers_a_health_check(shared_system: SystemUnderTest) -> None:
    addresses = [shared_system.said["grpc"], *(internal_address(shared_system, service) for service in INTERNAL)]
    for address in addresses:
        check = (PROGRAMS / "grpcurl", "-plaintext", address, "grpc.health.v1.Health/Check")
        assert answers(called(check)) == [{"status": "SERVING"}]


def test_the_inner_processes_refuse_strangers(shared_system: SystemUnderTest) -> None:
    address = internal_address(shared_system, "scheduler")
    method = "ordinaut.internal.v1.SchedulerService/ValidateSchedule"
    ended = called((PROGRAMS / "grpcurl", "-plaintext", address, method))
    assert ended.returncode != 0
    assert "PermissionDenied" in ended.stderr


@pytest.mark.parametrize("call", [grpcurl, buf_curl])
def test_a_task_is_created_run_and_watched(shared_system: SystemUnderTest, call: Call) -> None:
    task_id = f"with-{call.__name__.replace('_', '-')}"
    create = {"task_id": task_id, "task": {"pipeline": PIPELINE}}
    (task,) = answers(call(shared_system, "ordinaut.v1.TaskService/CreateTask", create))
    assert task["pipeline"] == PIPELINE
    (run,) = answers(call(shared_system, "ordinaut.v1.TaskService/RunTask", {"name": task["name"]}))
    watched = answers(call(shared_system, "ordinaut.v1.RunService/WatchRun", {"name": run["name"]}))
    last = json_format.ParseDict(watched[-1]["run"], Run())
    assert (last.name, last.state) == (run["name"], Run.SUCCEEDED)


@pytest.mark.parametrize("call", [grpcurl, buf_curl])
def test_a_refusal_comes_with_its_details(shared_system: SystemUnderTest, call: Call) -> None:
    pipeline = {"version": 1, "steps": [{"id": "greet", "uses": "orchestrator.sett"}]}
    create = {"task_id": "refused", "task": {"pipeline": pipeline}}
    ended = call(shared_system, "ordinaut.v1.TaskService/CreateTask", create)
    assert ended.returncode != 0
    assert "task.pipeline.steps[0].uses" in ended.stdout + ended.stderr


def test_curl_alone_creates_runs_and_watches_a_task(shared_system: SystemUnderTest) -> None:
    said = shared_system.said

    def curl(path: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        caller = ("--header", f"Authorization: Bearer {said['token']}")
        return called(("curl", "--silent", "--max-time", "30", *caller, *arguments, f"{said['rest']}/v1/{path}"))

    (task,) = answers(curl("tasks?task_id=with-curl", "--json", json.dumps({"pipeline": PIPELINE})))
    assert task["pipeline"] == PIPELINE
    (run,) = answers(curl("tasks/with-curl:run", "--json", "{}"))
    watched = answers(curl(f"{run['name']}:watch", "--no-buffer"))
    assert watched[-1]["run"]["state"] == "SUCCEEDED"
    (refused,) = answers(curl("tasks/of-nobody"))
    assert (refused["error"]["code"], refused["error"]["status"]) == (404, "NOT_FOUND")


def test_curl_learns_whether_the_system_is_well(shared_system: SystemUnderTest) -> None:
    rest = shared_system.said["rest"]
    (alive,) = answers(called(("curl", "--silent", "--fail", f"{rest}/healthz")))
    (ready,) = answers(called(("curl", "--silent", "--fail", f"{rest}/readyz")))
    assert alive == {"status": "alive"}
    assert ready["status"] == "ready"
    assert set(ready["components"].values()) == {"SERVING"}
