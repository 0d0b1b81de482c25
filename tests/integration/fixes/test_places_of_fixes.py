"""Where fixes point: the body over REST in its spelling, the message over gRPC; and what is found beside bad values."""

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from jsonpatch import JsonPatch

from ordinaut.v1.schedule_pb2 import Schedule, Trigger
from ordinaut.v1.task_pb2 import Task
from ordinaut.v1.task_service_pb2 import SimulateTaskRequest, ValidateTaskRequest
from tests.integration.conftest import fresh_database
from tests.integration.fixes.senders import _grpc_outcome, _outcome
from tests.integration.support.rest_system import TASK, RestSystem, rest_system

pytestmark = pytest.mark.asyncio(loop_scope="module")
RULE = "DTSTART;TZID=Asia/Tokyo:20260601T090000\nRRULE:FREQ=DAILY"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(postgres_url: str) -> AsyncIterator[RestSystem]:
    async with fresh_database(postgres_url) as url, rest_system(url) as started:
        answer = await started.call("POST", "/v1/tasks?task_id=one", TASK)
        assert answer.status == 200, answer.text
        yield started


@pytest.mark.parametrize(
    ("verb", "path", "body", "pointers"),
    [
        ("POST", "/v1/tasks:validate", {**TASK, "schedul": {"triggers": [{"interval": "60s"}]}}, {"/schedul"}),
        ("POST", "/v1/tasks:validate", {"pipeline": {"steps": [{"id": "a", "use": "orchestrator.set"}]}},
         {"/pipeline/steps/0/use"}),
        ("PATCH", "/v1/tasks/one", {"displayNam": "x"}, {"/displayNam"}),
        ("PATCH", "/v1/tasks/one", {"schedule": {"timeZone": "UTC", "triggers": [{"rrule": RULE}]}},
         {"/schedule/timeZone"}),
        ("POST", "/v1/tasks:batchCreate", {"requests": [{"task": TASK}, {"task": {**TASK, "display_nam": "x"}}]},
         {"/requests/1/task/display_nam"}),
        ("POST", "/v1/tasks/one:run", {"parms": {"x": 1}}, {"/parms"}),
        ("POST", "/v1/tasks:simulate",
         {"task": {"schedule": {"timeZone": "UTC", "triggers": [{"rrule": RULE}]}}}, {"/task/schedule/timeZone"}),
    ],
)  # fmt: skip
async def test_fixes_over_rest_address_the_body(
    rest: RestSystem, verb: str, path: str, body: Any, pointers: set[str]
) -> None:
    outcome = _outcome(await rest.call(verb, path, body))
    assert {each.get("from", each["path"]) for _, part in outcome.fixes for each in part} == pointers
    repaired = JsonPatch([each for _, part in outcome.fixes for each in part]).apply(body)
    again = await rest.call(verb, path, repaired)
    assert again.status == 200, again.text


async def test_a_repeated_key_hides_no_other_problem(rest: RestSystem) -> None:
    text = (
        "display_name: a\ndisplay_name: b\ncolour: 1\nschedule:\n  triggers: [{cron: 61 * * * *}]\n  time_zone: UTC\n"
    )
    for data, kind in ((text.encode(), "yaml"), (_repeated(), "json")):
        answer = await rest.call(
            "POST", "/v1/tasks:validate", data=data, headers={"content-type": f"application/{kind}"}
        )
        assert set(answer.violations) >= {"task.display_name", "task.colour", "task.schedule.triggers[0].cron"}


def _repeated() -> bytes:
    schedule = json.dumps({"triggers": [{"cron": "61 * * * *"}], "time_zone": "UTC"})
    return f'{{"display_name": "a", "display_name": "b", "colour": 1, "schedule": {schedule}}}'.encode()


async def test_values_of_wrong_types_hide_no_other_problem(rest: RestSystem) -> None:
    schedule = {
        "triggers": [{"cron": "61 * * * *"}, {"interval": "often"}], "time_zone": 5, "jitter": 3,
        "catch_up": {"policy": "NEWEST"}, "start_time": "tomorrow",
    }  # fmt: skip
    pipeline = {"steps": [{"id": "a", "uses": "orchestrator.set", "retry": -1}]}
    answer = await rest.call("POST", "/v1/tasks:validate", {"schedule": schedule, "pipeline": pipeline, "labels": []})
    assert set(answer.violations) >= {
        "task.schedule.triggers[0].cron", "task.schedule.triggers[1].interval", "task.schedule.time_zone",
        "task.schedule.jitter", "task.schedule.catch_up.policy", "task.schedule.start_time", "task.labels",
        "task.pipeline.steps[0].retry",
    }  # fmt: skip


async def test_invalid_values_over_grpc_hide_no_other_problem(rest: RestSystem) -> None:
    schedule = Schedule(triggers=[Trigger(cron="61 * * * *")], time_zone="UTC", end_time=Timestamp(seconds=10**15))
    schedule.catch_up.policy = 77  # type: ignore[assignment]
    task = Task(display_name="a\0b", schedule=schedule)
    task.pipeline.update({"steps": [{"id": "a", "uses": "orchestrator.set", "retry": -1, "save": "x"}]})
    task.params.update({"x": float("nan")})
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rest.grpc.admin.tasks.ValidateTask(ValidateTaskRequest(task=task))
    outcome = _grpc_outcome(caught.value)
    assert {field for field, _, _ in outcome.problems} >= {
        "task.display_name", "task.schedule.end_time", "task.schedule.catch_up.policy", "task.params.x",
        "task.schedule.triggers[0].cron", "task.pipeline.steps[0].retry", "task.pipeline.steps[0].save",
    }  # fmt: skip
    assert ("task.pipeline.steps[0].save", "/task/pipeline/steps/0/save") in {
        (field, part[0]["from"]) for field, part in outcome.fixes if part[0]["op"] == "move"
    }


async def test_a_streaming_call_reports_everything_at_once(rest: RestSystem) -> None:
    task = Task(schedule=Schedule(triggers=[Trigger(cron="61 * * * *")], time_zone="UTC"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in rest.grpc.admin.tasks.SimulateTask(SimulateTaskRequest(task=task, fail_every=-1)):
            pass
    fields = {field for field, _, _ in _grpc_outcome(caught.value).problems}
    assert fields == {"fail_every", "task.schedule.triggers[0].cron"}
