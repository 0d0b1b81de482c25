"""Every public method over HTTP answers as it does over gRPC."""

import gzip
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor

from gateway.rest.transcoding.routes import routes_of
from gateway.services import DESCRIPTORS
from ordinaut.v1.run_service_pb2 import GetRunRequest
from ordinaut.v1.state_service_pb2 import GetStateEntryRequest
from ordinaut.v1.task_service_pb2 import GetTaskRequest, ListTasksRequest
from tests.integration.conftest import fresh_database
from tests.integration.support.rest_system import TASK, Answer, RestSystem, rest_system

pytestmark = pytest.mark.asyncio(loop_scope="module")
METHODS = [method for service in DESCRIPTORS for method in service.methods]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(postgres_url: str) -> AsyncIterator[RestSystem]:
    async with fresh_database(postgres_url) as url, rest_system(url) as started:
        yield started


def method_id(method: MethodDescriptor) -> str:
    return str(method.name)


@pytest.mark.parametrize("method", METHODS, ids=method_id)
async def test_every_method_is_reached(rest: RestSystem, method: MethodDescriptor) -> None:
    """Without a token the gateway itself refuses, in every route: nothing is answered before it is asked."""
    routes = list(routes_of(method))
    assert routes, f"{method.full_name} has no route"
    for route in routes:
        path = route.template.text
        for field, pattern in route.template.variables:
            path = path.replace(f"{{{field}={pattern}}}", pattern.replace("**", "x").replace("*", "x"))
        answer = await rest.call(route.verb, path, {} if route.body else None, token="")
        assert (answer.status, answer.reason) == (401, "TOKEN_INVALID"), answer.text
        assert answer.headers["www-authenticate"].startswith("Bearer")


NO_BODY = [
    {},
    {"content-type": "application/json"},
    {"content-type": "application/json; charset=utf-8"},
    {"content-type": "application/yaml"},
    {"content-type": "application/x-www-form-urlencoded"},  # what curl sends with -d ''
    {"content-type": "application/json", "content-encoding": "gzip"},
]


@pytest.mark.parametrize("headers", NO_BODY)
async def test_commands_without_a_body(rest: RestSystem, headers: dict[str, str]) -> None:
    """Generated clients always send a content type."""
    await rest.call("POST", "/v1/tasks?task_id=bare", TASK)
    for verb in ("pause", "resume", "run"):
        answer = await rest.call("POST", f"/v1/tasks/bare:{verb}", data=b"", headers=headers)
        assert answer.status == 200, (verb, answer.text)
    run = (await rest.call("POST", "/v1/tasks/bare:run", data=b"", headers=headers)).json["name"]
    assert (await rest.call("POST", f"/v1/{run}:cancel", data=b"", headers=headers)).status == 200
    retried = await rest.call("POST", f"/v1/{run}:retry", data=b"", headers=headers)
    assert retried.status == 200, retried.text
    assert (await rest.call("DELETE", "/v1/tasks/bare", headers=headers)).status == 200


async def test_a_task_from_creation_to_deletion(rest: RestSystem) -> None:
    """Create, read, change, clear, pause, run, list and delete; each answer is the one that gRPC gives."""
    tasks = rest.grpc.admin.tasks
    made = await rest.call("POST", "/v1/tasks?task_id=life", {**TASK, "displayName": "Life", "description": "x"})
    assert (made.status, made.json["name"], made.json["display_name"]) == (200, "tasks/life", "Life")
    assert made.headers["etag"] == made.json["etag"]

    changed = await rest.call("PATCH", "/v1/tasks/life", {"description": None, "run_policy": {"run_timeout": "1h30m"}})
    assert changed.status == 200, changed.text
    assert "description" not in changed.json
    assert changed.json["run_policy"]["run_timeout"] == "5400s"
    assert changed.json["display_name"] == "Life"

    paused = await rest.call("POST", "/v1/tasks/life:pause", {"reason": "lunch"})
    assert (paused.json["state"], paused.json["state_reason"]) == ("PAUSED", "lunch")
    assert (await rest.call("POST", "/v1/tasks/life:resume")).json["state"] == "ACTIVE"

    run = await rest.call("POST", "/v1/tasks/life:run", {"params": {"n": 3, "deep": [1.5, None, {"a": True}]}})
    assert run.status == 200
    shown = await rest.call("GET", f"/v1/{run.json['name']}?view=FULL")
    same_run = await rest.grpc.admin.runs.GetRun(GetRunRequest(name=run.json["name"]))
    assert json_format.ParseDict(shown.json, type(same_run)()) == same_run
    assert shown.json["params"] == {"n": 3, "deep": [1.5, None, {"a": True}]}

    listed = await rest.call("GET", "/v1/tasks?page_size=1")
    same = await tasks.ListTasks(ListTasksRequest(page_size=1))
    assert json_format.ParseDict(listed.json, type(same)()) == same
    assert (await tasks.GetTask(GetTaskRequest(name="tasks/life"))).etag == listed.json["tasks"][0]["etag"]

    deleted = await rest.call("DELETE", "/v1/tasks/life")
    assert (deleted.status, deleted.json) == (200, {})
    gone = await rest.call("GET", "/v1/tasks/life")
    assert (gone.status, gone.reason, gone.json["error"]["status"]) == (404, "RESOURCE_NOT_FOUND", "NOT_FOUND")


async def test_preconditions(rest: RestSystem) -> None:
    """ETag and If-Match keep updates from being lost: 412 tells the header's failure, 409 the field's."""
    made = await rest.call("POST", "/v1/tasks?task_id=tagged", TASK)
    tag = made.headers["etag"]
    changed = await rest.call("PATCH", "/v1/tasks/tagged", {"description": "1"}, headers={"if-match": tag})
    assert changed.status == 200
    for verb, document in (("PATCH", {"description": "2"}), ("DELETE", None)):
        stale = await rest.call(verb, "/v1/tasks/tagged", document, headers={"if-match": tag})
        assert (stale.status, stale.reason) == (412, "ETAG_MISMATCH")
    stale = await rest.call("PATCH", "/v1/tasks/tagged", {"description": "2", "etag": tag})
    assert (stale.status, stale.reason) == (409, "ETAG_MISMATCH")
    same = await rest.call("GET", "/v1/tasks/tagged", headers={"if-none-match": changed.headers["etag"]})
    assert (same.status, same.text) == (304, "")
    assert (await rest.call("DELETE", "/v1/tasks/tagged", headers={"if-match": changed.headers["etag"]})).status == 200


async def test_state_with_revisions(rest: RestSystem) -> None:
    """Keys may hold slashes and colons; the revision is the entity tag."""
    path = "/v1/state/notes/a/b:c"
    first = await rest.call("PUT", path, {"value": [1, "two"]}, headers={"if-none-match": "*"})
    assert (first.status, first.json["name"], first.headers["etag"]) == (200, "state/notes/a/b:c", '"1"')
    escaped = await rest.call("GET", "/v1/state/notes/a%2Fb%3Ac")
    assert escaped.json == first.json
    again = await rest.call("PUT", path, {"value": 2}, headers={"if-none-match": "*"})
    assert (again.status, again.reason) == (412, "REVISION_MISMATCH")
    assert (await rest.call("PUT", f"{path}?revision=1", {"value": None})).json["value"] is None
    same = await rest.grpc.admin.state.GetStateEntry(GetStateEntryRequest(name="state/notes/a/b:c"))
    assert same.revision == 2
    assert (await rest.call("GET", "/v1/state/notes")).json["entries"][0]["name"] == "state/notes/a/b:c"
    assert (await rest.call("DELETE", path, headers={"if-match": '"2"'})).status == 200


async def test_an_idempotency_key_makes_a_call_repeatable(rest: RestSystem) -> None:
    key = {"idempotency-key": "one"}
    made = await rest.call("POST", "/v1/events", {"topic": "a.b"}, headers=key)
    again = await rest.call("POST", "/v1/events", {"topic": "a.b"}, headers=key)
    assert again.json == made.json
    other = await rest.call("POST", "/v1/events", {"topic": "a.c"}, headers=key)
    assert (other.status, other.reason) == (409, "REQUEST_ID_REUSED")


async def test_yaml_and_compression(rest: RestSystem) -> None:
    """YAML 1.2 bodies, where `on` and `no` are words; gzip in both directions."""
    document = b"topic: a.b\ndata: {on: no, when: 2026-01-31, half: 0.5}\n"
    headers = {"content-type": "application/yaml; charset=utf-8", "content-encoding": "gzip"}
    made = await rest.call("POST", "/v1/events", data=gzip.compress(document), headers=headers)
    assert made.status == 200, made.text
    assert made.json["data"] == {"on": "no", "when": "2026-01-31", "half": 0.5}
    await rest.call("PUT", "/v1/state/big/one", {"value": "x" * 5000})
    large = await rest.call("GET", "/v1/state/big/one", headers={"accept-encoding": "gzip"})
    assert large.headers["content-encoding"] == "gzip"
    assert large.json["value"] == "x" * 5000
    plain = await rest.call("GET", "/v1/state/big/one", headers={"accept-encoding": "gzip;q=0, identity"})
    assert "content-encoding" not in plain.headers


async def test_fixes_are_returned(rest: RestSystem) -> None:
    """Errors carry everything that gRPC's do: a misspelt tool comes with its repair."""
    wrong = {"pipeline": {"steps": [{"id": "a", "uses": "orchestrator.st", "with": {"x": 1}}]}}
    answer = await rest.call("POST", "/v1/tasks", wrong)
    assert (answer.status, answer.violations) == (400, {"task.pipeline.steps[0].uses": "UNKNOWN_TOOL"})
    fixes = [detail for detail in answer.json["error"]["details"] if detail["@type"].endswith("ordinaut.v1.Fix")]
    assert fixes[0]["operations"][0]["path"] == "/pipeline/steps/0/uses"


def fix_paths(answer: Answer) -> set[tuple[str, str]]:
    details = [detail for detail in answer.json["error"]["details"] if detail["@type"].endswith("ordinaut.v1.Fix")]
    return {(operation["op"], operation["path"]) for detail in details for operation in detail["operations"]}


async def test_fixes_of_a_body_that_another_process_reads(rest: RestSystem) -> None:
    """YAML of more than 2 KiB gets the fixes of a short body; a body of more than 64 KiB gets none."""
    step = {"id": "a", "uses": "orchestrator.st", "with": {"x": 1}}
    bodies = [
        json.dumps({"displayNam": "x", "pipeline": {"steps": [step]}, "description": "x" * size})
        for size in (0, 4000, 70_000)
    ]
    kinds = [{"content-type": f"application/{kind}"} for kind in ("json", "yaml", "json")]
    answers = [
        await rest.call("POST", "/v1/tasks", data=body.encode(), headers=headers)
        for body, headers in zip(bodies, kinds, strict=True)
    ]
    assert {answer.status for answer in answers} == {400}
    expected = {("move", "/display_name"), ("replace", "/pipeline/steps/0/uses")}
    assert [fix_paths(answer) for answer in answers] == [expected, expected, set()]
