"""Sends a body as JSON or YAML over REST, or as a message over gRPC, and reads the answer."""

import io
import json
from typing import Any

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from ruamel.yaml import YAML

from ordinaut.cli.commands.tasks.documents import REQUEST, read_task, refuse_unreadable
from ordinaut.cli.sources import Source, fixes_in
from ordinaut.client import ApiError, Client
from ordinaut.client.document import DocumentError
from ordinaut.documents.reading import fill
from ordinaut.rpc.status import DETAILS_KEY
from ordinaut.v1 import event_service_pb2, run_service_pb2, task_service_pb2, tool_service_pb2
from ordinaut.v1.error_pb2 import Fix
from tests.integration.fixes.property import Outcome
from tests.integration.fixes.requests import Method
from tests.integration.support.rest_system import RestSystem

MODULES = {
    "tasks": task_service_pb2, "runs": run_service_pb2, "tools": tool_service_pb2, "events": event_service_pb2
}  # fmt: skip


SECONDS = 1.5  # a valid CallTool waits for a run, and there is no worker


async def send_json(rest: RestSystem, method: Method, body: Any) -> Outcome:
    """Over REST as JSON."""
    return _outcome(await rest.call(method.verb, method.path, data=json.dumps(body).encode(), headers=_type("json")))


async def send_yaml(rest: RestSystem, method: Method, body: Any) -> Outcome:
    """Over REST as YAML."""
    text = io.BytesIO()
    YAML(typ="safe", pure=True).dump(body, text)
    return _outcome(await rest.call(method.verb, method.path, data=text.getvalue(), headers=_type("yaml")))


def _type(name: str) -> dict[str, str]:
    return {"content-type": f"application/{name}", "x-server-timeout": f"{SECONDS:g}"}


def _outcome(answer: Any) -> Outcome:
    if answer.status == 504:
        return Outcome([], [])
    assert answer.status < 500, answer.text
    document = [json.loads(line) for line in answer.text.splitlines() if line.strip()]
    if answer.status < 400:
        value = document[0] if document else {}
        fixes = [(fix["field"], fix["operations"]) for fix in value.get("fixes", ())]
        return Outcome([], fixes, warnings=value.get("warnings", []))
    details = document[0]["error"]["details"]
    problems, fixes, complete = [], [], True
    for detail in details:
        if detail["@type"].endswith("BadRequest"):
            problems = [(each["field"], each["reason"], each["description"]) for each in detail["field_violations"]]
        elif detail["@type"].endswith("v1.Fix"):
            fixes.append((detail["field"], detail["operations"]))
        elif "violations_omitted" in detail.get("metadata", {}):
            complete = False
    return Outcome(problems, fixes, document[0]["error"]["status"], complete)


async def send_grpc(rest: RestSystem, method: Method, body: Any) -> Outcome | None:
    """Over gRPC, where only what fits a message can be sent; None if the body does not. Pointers are the message's."""
    request = getattr(MODULES[method.service], method.request)()
    if fill(body, request):
        return None
    if method.name == "UpdateTask":
        request.task.name = "tasks/stored"
    if method.name == "RunTask":
        request.name = "tasks/typed"
    if method.name == "CallTool":
        request.name = "tools/calendar.list_events"
    call = getattr(getattr(rest.grpc.admin, method.service), method.name)(request, timeout=SECONDS)
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                break
            return Outcome([], [])
        response = await call
    except grpc.aio.AioRpcError as failure:
        return _grpc_outcome(failure)
    fixes = [_fix(fix) for fix in getattr(response, "fixes", ())]
    return Outcome([], fixes, warnings=list(getattr(response, "warnings", ())))


def _fix(fix: Fix) -> tuple[str, list[Any]]:
    return fix.field, [json_format.MessageToDict(operation) for operation in fix.operations]


def _grpc_outcome(failure: grpc.aio.AioRpcError) -> Outcome:
    if failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Outcome([], [])
    assert failure.code() not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}, failure
    text = next(value for key, value in failure.trailing_metadata() or () if key == DETAILS_KEY)
    problems, fixes, complete = [], [], True
    for detail in status_pb2.Status.FromString(text).details:
        bad, fix, info = error_details_pb2.BadRequest(), Fix(), error_details_pb2.ErrorInfo()
        if detail.Unpack(bad):
            problems = [(each.field, each.reason, each.description) for each in bad.field_violations]
        elif detail.Unpack(fix):
            fixes.append(_fix(fix))
        elif detail.Unpack(info) and "violations_omitted" in info.metadata:
            complete = False
    return Outcome(problems, fixes, failure.code().name, complete)


async def send_cli(rest: RestSystem, body: Any) -> Outcome:
    """As `ordinaut task apply` reads and checks a file with one document; nothing is stored."""
    read = read_task(Source(body))
    async with Client(f"127.0.0.1:{rest.grpc.port}", rest.grpc.admin.token) as client:
        try:
            await refuse_unreadable(client, [read])
            with fixes_in(read.source, "task", REQUEST):
                await client.tasks.ValidateTask(task_service_pb2.ValidateTaskRequest(task=read.task))
        except ApiError as error:
            problems = [(each.field, "", each.message) for each in error.violations]  # documents have none
            fixes = [(fix.field, [dict(operation) for operation in fix.operations]) for fix in error.fixes]
            return Outcome(problems, fixes, error.code, "violations_omitted" not in error.metadata)
        except DocumentError as error:
            return Outcome([(each.path, "", each.message) for each in error.problems], [])
    return Outcome([], [])
