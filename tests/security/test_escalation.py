"""What a narrow token tries in order to become an admin, or to act with rights that it does not have.

The page docs/security-review.md has the same table; `python -m tests.security.test_escalation` prints it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass
from yarl import URL

from gateway.authentication import authenticator
from ordinaut.v1.run_pb2 import Run
from ordinaut.v1.task_service_pb2 import GetTaskRequest
from tests.integration.support.gateway_system import Caller, finished, refusal, working
from tests.integration.support.rest_system import RestSystem, rest_system
from tests.security.methods import METHODS, STUB_OF

PAGE = Path(__file__).parents[2] / "docs" / "security-review.md"
OWNER = (
    "tasks:write", "tasks:read", "tasks:run", "runs:write", "runs:read", "state:read", "state:write", "tools:write",
    "tools:call", "tools:read", "secrets:use", "events:publish", "events:read", "approvals:read", "approvals:write",
)  # fmt: skip
MINTER = ("agents:write", "agents:read", "runs:write", "runs:read")
NARROW_MINTER = ("agents:write",)
GLOB_MINTER = ("agents:write:bot*", "runs:write")
RUNNER = (
    "runs:write:-", "runs:read", "tasks:run:nightly", "state:read:public", "state:write:public", "events:publish:t.*",
    "events:read:t.*",
)  # fmt: skip
TASKER = ("tasks:write:mine", "tasks:read", "tasks:run:mine", "runs:read")
TOOLER = ("tools:write", "tools:read", "tools:call")
STATER = ("state:read:public", "state:write:public")
EVENTER = ("events:publish:t.*", "events:read:t.*")
TOOL_WRITER = ("tools:write",)
APPROVER = ("approvals:write", "approvals:read")
RETRIER = ("runs:write:-", "runs:read")
CATCHER = ("tasks:write:caught", "tasks:read")
AGENTS_OF_TOKENS: dict[tuple[str, ...] | str, tuple[str, ...] | str] = {
    NARROW_MINTER: MINTER,
    RETRIER: (*RETRIER, "state:read:private"),
    CATCHER: (*CATCHER, "tasks:run", "state:read:private"),
}
"""The scopes of the agent of a token that has only these."""
AUDITOR = ("audit:read", "system:read")
FOREIGN = "the admin of another project"
ADMIN = "the admin of the project"


def one(uses: str, **inputs: Any) -> dict[str, Any]:
    """A pipeline of one step."""
    return {"version": 1, "steps": [{"id": "a", "uses": uses, "with": inputs}]}


def http(url: str = "https://a.example/", **more: Any) -> dict[str, Any]:
    return {"http": {"method": "POST", "url": url, **more}, "effect": "READ"}


SET = one("orchestrator.set", x=1)
SECRET: dict[str, Any] = {"auth": {"bearer": {"secret": "key"}}}
COMPUTED = "${params.name}"
HOURLY = {"triggers": [{"interval": "3600s"}], "start_time": "2026-01-01T00:00:00Z"}
FAR = "2099-01-01T00:00:00Z"


@dataclass(frozen=True)
class Attempt:
    """A call with a token of these scopes, or of this caller, and how it must end: reason, or end of its run."""

    holder: tuple[str, ...] | str
    title: str
    method: str
    answer: str
    fields: dict[str, Any] = field(default_factory=dict)


def attempt(holder: tuple[str, ...] | str, title: str, method: str, answer: str, **fields: Any) -> Attempt:
    return Attempt(holder, title, method, answer, fields)


def a_run(title: str, answer: str, pipeline: dict[str, Any], name: str) -> Attempt:
    return attempt(RUNNER, title, "CreateRun", answer, pipeline=pipeline, params={"name": name})


ATTEMPTS = (
    attempt(MINTER, "create an admin", "CreateAgent", "MISSING_SCOPE", agent_id="x", agent={"scopes": ["admin"]}),
    attempt(MINTER, "create an agent that may read state", "CreateAgent", "MISSING_SCOPE", agent_id="x",
            agent={"scopes": ["state:read"]}),
    attempt(MINTER, "create an agent with urgent runs", "CreateAgent", "PRIORITY_NOT_ALLOWED", agent_id="x",
            agent={"scopes": ["runs:write"], "min_priority": 1}),
    attempt(MINTER, "grant itself admin", "UpdateAgent", "MISSING_SCOPE",
            agent={"name": "agents/ME", "scopes": ["admin"]}),
    attempt(MINTER, "grant itself admin with the mask *", "UpdateAgent", "MISSING_SCOPE",
            agent={"name": "agents/ME", "scopes": ["admin"]}, update_mask="*"),
    attempt(MINTER, "raise the urgency of its runs", "UpdateAgent", "PRIORITY_NOT_ALLOWED",
            agent={"name": "agents/ME", "min_priority": 1}, update_mask="minPriority"),
    attempt(MINTER, "narrow the admin", "UpdateAgent", "MISSING_SCOPE",
            agent={"name": "agents/admin", "scopes": ["runs:write"]}, update_mask="scopes"),
    attempt(MINTER, "delete the admin", "DeleteAgent", "MISSING_SCOPE", name="agents/admin"),
    attempt(MINTER, "revoke the admin's token", "RevokeAgentToken", "MISSING_SCOPE", name="ADMIN_TOKEN"),
    attempt(MINTER, "rotate the admin's token to read the new one", "RotateAgentToken", "MISSING_SCOPE",
            name="ADMIN_TOKEN"),
    attempt(MINTER, "create a token of the admin, narrow", "CreateAgentToken", "MISSING_SCOPE", parent="agents/admin",
            agent_token={"scopes": ["runs:write"]}),
    attempt(MINTER, "create a token of an agent that may more", "CreateAgentToken", "MISSING_SCOPE",
            parent="agents/owner", agent_token={"scopes": ["runs:write"]}),
    attempt(MINTER, "rotate the token of an agent that may more", "RotateAgentToken", "MISSING_SCOPE",
            name="OWNER_TOKEN"),
    attempt(MINTER, "create a token that outlives its own", "CreateAgentToken", "FIELD_INVALID", parent="agents/ME",
            agent_token={"expire_time": "2027-10-01T00:00:00Z"}),
    attempt(MINTER, "rotate its own token into one that outlives it", "RotateAgentToken", "FIELD_INVALID",
            name="MY_TOKEN", expire_time=FAR),
    attempt(MINTER, "create an agent again that may more", "CreateAgent", "RESOURCE_EXISTS", agent_id="owner",
            agent={"scopes": ["runs:write"]}),
    attempt(MINTER, "narrow an agent that may more", "UpdateAgent", "MISSING_SCOPE", update_mask="scopes",
            agent={"name": "agents/owner", "scopes": ["runs:read"]}),
    attempt(MINTER, "a token of its agent without scopes, which gets all that an admin gives to the agent later",
            "CreateAgentToken", "FIELD_INVALID", parent="agents/empty"),
    attempt(MINTER, "rotate a token after its agent has lost the scopes, which would have all that it gets later",
            "RotateAgentToken", "FIELD_INVALID", name="EMPTY_TOKEN"),
    attempt(NARROW_MINTER, "create a token with a scope that only its agent has", "CreateAgentToken", "MISSING_SCOPE",
            parent="agents/ME", agent_token={"scopes": ["runs:write"]}),
    attempt(NARROW_MINTER, "create an agent with such a scope", "CreateAgent", "MISSING_SCOPE", agent_id="x",
            agent={"scopes": ["runs:write"]}),
    attempt(NARROW_MINTER, "rotate the wider token of its agent", "RotateAgentToken", "MISSING_SCOPE",
            name="MY_WIDE_TOKEN"),
    attempt(GLOB_MINTER, "create an agent outside its glob", "CreateAgent", "MISSING_SCOPE", agent_id="evil",
            agent={"scopes": ["runs:write"]}),
    attempt(GLOB_MINTER, "create an agent with the scope without a glob", "CreateAgent", "MISSING_SCOPE",
            agent_id="bot-2", agent={"scopes": ["agents:write"]}),
    attempt(GLOB_MINTER, "create a token for itself, outside its glob", "CreateAgentToken", "MISSING_SCOPE",
            parent="agents/ME"),
    attempt(RUNNER, "read a namespace of others in a run", "CreateRun", "MISSING_SCOPE",
            pipeline=one("orchestrator.get_state", namespace="private", key="k")),
    a_run("the same with a computed name", "the step fails: DENIED",
          one("orchestrator.get_state", namespace=COMPUTED, key="k"), "private"),
    a_run("the same through a path", "the step fails: DENIED",
          one("orchestrator.get_state", namespace=COMPUTED, key="k"), "public/../private"),
    a_run("write it with a computed name", "the step fails: DENIED",
          one("orchestrator.put_state", namespace=COMPUTED, key="k", value=1), "private"),
    a_run("publish another topic, computed", "the step fails: DENIED",
          one("orchestrator.emit", topic=COMPUTED, data={}), "payroll.paid"),
    a_run("publish as Ordinaut, computed", "the step fails: VALIDATION_INPUT",
          one("orchestrator.emit", topic=COMPUTED, data={}), "ordinaut.run.failed"),
    a_run("wait for events of another topic, computed", "the step fails: DENIED",
          one("orchestrator.wait_event", topic=COMPUTED, timeout="60s"), "payroll.paid"),
    a_run("start the task of another agent, computed", "the step fails: DENIED",
          one("orchestrator.run_task", task=COMPUTED), "tasks/theirs"),
    a_run("a key that leaves the namespace, computed", "nothing",
          one("orchestrator.get_state", namespace="public", key=COMPUTED), "../private/k"),
    a_run("publish as another agent, computed", "TOOL_INPUT_INVALID",
          one("orchestrator.emit", topic="t.a", source=COMPUTED, data={}), "agents/admin"),
    attempt(RUNNER, "send a secret to a tool", "CreateRun", "MISSING_SCOPE",
            pipeline=one("pay.out", x="${secrets.key}")),
    attempt(RUNNER, "rights of a version in a run without a task", "CreateRun", "FIELD_INVALID", pipeline=SET,
            run_policy={"rights": "AS_SAVED"}),
    attempt(RUNNER, "read the run of another agent", "GetRun", "RESOURCE_NOT_FOUND", name="RUN"),
    attempt(RUNNER, "cancel it", "CancelRun", "RESOURCE_NOT_FOUND", name="RUN"),
    attempt(RUNNER, "read its results in a simulation", "SimulateRun", "RESOURCE_NOT_FOUND", pipeline=SET,
            recording="RUN"),
    attempt(RETRIER, "retry a run that a wider token of its agent has started", "RetryRun", "MISSING_SCOPE",
            name="MY_WIDE_RUN"),
    attempt(RUNNER, "call a tool that it may not call", "CreateRun", "MISSING_SCOPE", pipeline=one("pay.out")),
    attempt(RUNNER, "an urgent run", "CreateRun", "PRIORITY_NOT_ALLOWED", pipeline=SET, run_policy={"priority": 1}),
    attempt(RUNNER, "retry the run of another agent", "RetryRun", "RESOURCE_NOT_FOUND", name="RUN"),
    attempt(RUNNER, "replay it with an own document", "ReplayRun", "RESOURCE_NOT_FOUND", name="RUN", pipeline=SET),
    attempt(RUNNER, "simulate the task of another agent", "SimulateRun", "MISSING_SCOPE", task="tasks/theirs"),
    attempt(RUNNER, "simulate a step that reads a namespace of others", "SimulateRun", "MISSING_SCOPE",
            pipeline=one("orchestrator.get_state", namespace="private", key="k")),
    attempt(TASKER, "create a task that another agent owns", "CreateTask", "FIELD_NOT_WRITABLE", task_id="mine",
            task={"pipeline": SET, "owner": "agents/owner"}),
    attempt(TASKER, "create a task outside its glob, in a batch", "BatchCreateTasks", "MISSING_SCOPE",
            requests=[{"task_id": name, "task": {"pipeline": SET}} for name in ("mine", "other")]),
    attempt(TASKER, "change the owner of a task", "UpdateTask", "FIELD_MASK_INVALID",
            task={"name": "tasks/mine", "owner": "agents/admin"}, update_mask="owner"),
    attempt(TASKER, "change the scopes of a version", "UpdateTask", "FIELD_MASK_INVALID",
            task={"name": "tasks/mine", "scopes": ["admin"]}, update_mask="scopes"),
    attempt(TASKER, "a trigger on events of others", "UpdateTask", "MISSING_SCOPE", update_mask="schedule",
            task={"name": "tasks/mine", "schedule": {"triggers": [{"event": {"topic": "payroll.>"}}]}}),
    attempt(TASKER, "a step that reads any state, by its own update", "UpdateTask", "MISSING_SCOPE",
            update_mask="pipeline",
            task={"name": "tasks/mine", "pipeline": one("orchestrator.get_state", namespace="${params.n}", key="k")}),
    attempt(TASKER, "a step that runs a pipeline", "UpdateTask", "MISSING_SCOPE", update_mask="pipeline",
            task={"name": "tasks/mine", "pipeline": one("orchestrator.run_pipeline", pipeline="${params.n}")}),
    attempt(TASKER, "an urgent task", "UpdateTask", "PRIORITY_NOT_ALLOWED", update_mask="runPolicy",
            task={"name": "tasks/mine", "run_policy": {"priority": 1}}),
    attempt(CATCHER, "start a task that a wider token has saved by a backfill", "CreateBackfill", "MISSING_SCOPE",
            parent="tasks/caught", backfill={"after_time": "2026-01-01T00:00:00Z"}),
    attempt(CATCHER, "start it by a pause", "ResumeTask", "MISSING_SCOPE", name="tasks/caught", run_newest=True),
    attempt(CATCHER, "start it directly", "RunTask", "MISSING_SCOPE", name="tasks/caught"),
    attempt(CATCHER, "change its params and keep its rights", "UpdateTask", "MISSING_SCOPE", update_mask="params",
            task={"name": "tasks/caught", "params": {"x": 1}}),
    attempt(TASKER, "run the task of another agent", "RunTask", "MISSING_SCOPE", name="tasks/theirs"),
    attempt(TASKER, "its ledger", "ListOccurrences", "RESOURCE_NOT_FOUND", parent="tasks/theirs"),
    attempt(TASKER, "read on with a page token of the admin", "ListTasks", "PAGE_TOKEN_INVALID", page_size=1,
            page_token="ADMIN_PAGE"),
    attempt(TOOLER, "a tool with a secret", "CreateTool", "MISSING_SCOPE", tool_id="a.b", tool=http(**SECRET)),
    attempt(TOOLER, "a secret in the URL of a tool", "CreateTool", "INVALID_TRANSPORT", tool_id="a.b",
            tool=http("https://a.example/${secrets.key}")),
    attempt(TOOLER, "a secret in a header of a tool", "CreateTool", "INVALID_TRANSPORT", tool_id="a.b",
            tool=http(headers={"X-Key": "${secrets.key}"})),
    attempt(TOOLER, "a tool that another agent owns", "CreateTool", "FIELD_NOT_WRITABLE", tool_id="a.b",
            tool={**http(), "owner": "agents/owner"}),
    attempt(TOOLER, "a tool of the system", "CreateTool", "RESERVED", tool_id="orchestrator.x", tool=http()),
    attempt(TOOLER, "send the secret of another tool elsewhere", "UpdateTool", "MISSING_SCOPE",
            tool={"name": "tools/pay.out", **http("https://evil.example/")}, update_mask="http.url"),
    attempt(TOOLER, "change the URL of another agent's tool without a secret", "UpdateTool", "MISSING_SCOPE",
            tool={"name": "tools/open.out", **http("https://evil.example/")}, update_mask="http.url"),
    attempt(TOOL_WRITER, "let its own tool call one that it may not call", "CreateTool", "MISSING_SCOPE", tool_id="a.b",
            tool={**http(), "effect": "UNSAFE", "lookup": {"uses": "open.out"}}),
    attempt(TOOLER, "delete the tool of another agent", "DeleteTool", "MISSING_SCOPE", name="tools/pay.out"),
    attempt(TOOLER, "write state by calling the tool of a step", "CallTool", "MISSING_SCOPE",
            name="tools/orchestrator.put_state", input={"namespace": "private", "key": "k", "value": 1}),
    attempt(TOOLER, "start a task in this way", "CallTool", "MISSING_SCOPE", name="tools/orchestrator.run_task",
            input={"task": "tasks/theirs"}),
    attempt(STATER, "read another namespace", "GetStateEntry", "MISSING_SCOPE", name="state/private/k"),
    attempt(STATER, "the same through a path", "GetStateEntry", "RESOURCE_NOT_FOUND", name="state/public/../private/k"),
    attempt(STATER, "the same in capitals", "GetStateEntry", "NAME_INVALID", name="state/Private/k"),
    attempt(STATER, "list another namespace", "ListStateEntries", "MISSING_SCOPE", parent="state/private"),
    attempt(STATER, "list it with the page token of another list", "ListStateEntries", "PAGE_TOKEN_INVALID",
            parent="state/public", page_token="ADMIN_PAGE"),
    attempt(STATER, "delete an entry of it", "DeleteStateEntry", "MISSING_SCOPE", name="state/private/k"),
    attempt(STATER, "list all namespaces", "ListStateEntries", "NAME_INVALID", parent="state/-"),
    attempt(STATER, "write another namespace", "PutStateEntry", "MISSING_SCOPE",
            entry={"name": "state/private/k", "value": 1}),
    attempt(EVENTER, "publish another topic", "PublishEvent", "MISSING_SCOPE", event={"topic": "payroll.paid"}),
    attempt(EVENTER, "the same in a batch, behind a good one", "BatchPublishEvents", "MISSING_SCOPE",
            requests=[{"event": {"topic": topic}} for topic in ("t.a", "payroll.paid")]),
    attempt(EVENTER, "publish as Ordinaut", "PublishEvent", "RESERVED", event={"topic": "ordinaut.run.failed"}),
    attempt(EVENTER, "name another agent as the source", "PublishEvent", "MISSING_SCOPE",
            event={"topic": "t.a", "source": "agents/admin"}),
    attempt(EVENTER, "a source that looks the same", "PublishEvent", "MISSING_SCOPE",
            event={"topic": "t.a", "source": " Agents/admin"}),
    attempt(EVENTER, "a source with an invisible character", "PublishEvent", "FIELD_INVALID",
            event={"topic": "t.a", "source": "ag\u2060ents/admin"}),
    attempt(EVENTER, "read another topic", "ListEvents", "nothing", topic="payroll.>"),
    attempt(EVENTER, "guess the data of one by a filter", "ListEvents", "nothing", topic="payroll.>",
            filter='data.amount = 5'),
    attempt(APPROVER, "answer an approval of others", "AnswerApproval", "RESOURCE_NOT_FOUND", name="APPROVAL",
            choice="approve"),
    attempt("the owner of the run that asks", "approve its own step", "AnswerApproval", "SELF_APPROVAL",
            name="APPROVAL", choice="approve"),
    attempt("its assignee", "a choice that was not offered", "AnswerApproval", "FIELD_INVALID", name="APPROVAL",
            choice="pay_more"),
    attempt("its assignee", "another subject than it was shown", "AnswerApproval", "SUBJECT_MISMATCH", name="APPROVAL",
            choice="approve", subject_hash="0" * 64),
    attempt(AUDITOR, "erase a person", "EraseSubject", "MISSING_SCOPE", subject="ann@example.com"),
    attempt(AUDITOR, "list projects", "ListProjects", "MISSING_SCOPE"),
    attempt(FOREIGN, "read a task", "GetTask", "RESOURCE_NOT_FOUND", name="tasks/theirs"),
    attempt(FOREIGN, "read a run", "GetRun", "RESOURCE_NOT_FOUND", name="RUN"),
    attempt(FOREIGN, "answer an approval", "AnswerApproval", "RESOURCE_NOT_FOUND", name="APPROVAL", choice="approve"),
    attempt(FOREIGN, "read a tool", "GetTool", "RESOURCE_NOT_FOUND", name="tools/pay.out"),
    attempt(FOREIGN, "rotate the token of the admin with the same name", "RotateAgentToken", "RESOURCE_NOT_FOUND",
            name="ADMIN_TOKEN"),
    attempt(FOREIGN, "revoke it", "RevokeAgentToken", "RESOURCE_NOT_FOUND", name="ADMIN_TOKEN"),
    attempt(FOREIGN, "read on with a page token of this project", "ListTasks", "PAGE_TOKEN_INVALID", page_size=1,
            page_token="ADMIN_PAGE"),
    attempt(FOREIGN, "read the audit log", "ListAuditRecords", "nothing", filter='resource = "tasks/theirs"'),
    attempt(FOREIGN, "read events", "ListEvents", "nothing", topic="payroll.>"),
    attempt(FOREIGN, "export the project", "ExportProject", "MISSING_SCOPE", name="projects/default"),
    attempt(FOREIGN, "delete the project", "DeleteProject", "MISSING_SCOPE", name="projects/default"),
    attempt(ADMIN, "create a project", "CreateProject", "MISSING_SCOPE", project_id="p9"),
)  # fmt: skip
HTTP_ATTEMPTS: tuple[tuple[str, str, str, Any, dict[str, str], int], ...] = (
    ("another name in the body than in the path", "PATCH", "/v1/tasks/mine", {"name": "tasks/theirs"}, {}, 400),
    ("the same for a method", "POST", "/v1/tasks/mine:run", {"name": "tasks/theirs"}, {}, 400),
    ("another name in the query", "POST", "/v1/tasks/mine:run?name=tasks/theirs", {}, {}, 400),
    ("a slash as %2F", "GET", "/v1/tasks/mine%2F..%2Ftheirs", None, {}, 400),
    ("a verb as %3A", "POST", "/v1/tasks/theirs%3Arun", {}, {}, 405),
    ("a path with ..", "GET", "/v1/whoami/../tasks/theirs", None, {}, 404),
    ("an encoded path twice", "GET", "/v1/tasks/%2574heirs", None, {}, 400),
    ("a path in capitals", "GET", "/V1/tasks/theirs", None, {}, 404),
    ("a doubled slash", "GET", "//v1/tasks/theirs", None, {}, 404),
    ("another namespace behind %2F", "GET", "/v1/state/public%2F..%2Fprivate/k", None, {}, 403),
    ("X-HTTP-Method-Override", "GET", "/v1/tasks/theirs", None, {"x-http-method-override": "DELETE"}, 404),
    ("X-Original-URL", "GET", "/v1/whoami", None, {"x-original-url": "/v1/tasks/theirs"}, 200),
    ("two tokens in one header", "GET", "/v1/whoami", None, {"authorization": "Bearer MINE, Bearer ADMIN"}, 401),
    ("a token in the query", "GET", "/v1/tasks/theirs?access_token=ADMIN", None, {}, 400),
    ("a token in a cookie", "GET", "/v1/tasks/theirs", None, {"cookie": "authorization=Bearer ADMIN"}, 404),
    ("a token for the call behind it", "GET", "/v1/tasks/theirs", None, {"grpc-metadata-authorization": "Bearer ADMIN"},
     404),
    ("the headers between REST and gRPC", "GET", "/v1/tasks/theirs", None,
     {"ordinaut-source": "10.0.0.1", "ordinaut-source-proof": "0", "ordinaut-violations": "0"}, 404),
    ("gRPC-Web", "POST", "/ordinaut.v1.TaskService/GetTask", None, {"content-type": "application/grpc-web+proto"}, 404),
    ("metrics", "GET", "/metrics", None, {}, 404),
)  # fmt: skip
"""Title, verb, path, body, headers and the status of the answer, with a token of TASKER."""
METADATA_ATTEMPTS = (
    ("a second token", (("authorization", "Bearer ADMIN"),), "UNAUTHENTICATED"),
    ("a token in binary metadata", (("authorization-bin", b"Bearer ADMIN"),), "NOT_FOUND"),
    (
        "the headers between REST and gRPC",
        (("ordinaut-source", "10.0.0.1"), ("ordinaut-source-proof", "0")),
        "NOT_FOUND",
    ),
    ("a rehearsal", (("ordinaut-violations", "0"),), "NOT_FOUND"),
    ("another project", (("project", "other"), ("x-project", "other")), "NOT_FOUND"),
    ("the token between processes", (("ordinaut-internal-token", "between processes"),), "NOT_FOUND"),
)
"""Title, what GetTask of the task of another agent gets besides the token of TASKER, and the status code."""
PATHS = (
    "/ordinaut.v1.taskservice/GetTask", "/ordinaut.v1.TaskService/gettask", "/ordinaut.v1.TaskService/GetTask/",
    "//ordinaut.v1.TaskService/GetTask", "/ordinaut.v1.TaskService/./GetTask", "/ordinaut.v1.TaskService%2FGetTask",
)  # fmt: skip
"""Spellings of a method, none of which exists."""
INTERNAL = ("/ordinaut.internal.v1.SchedulerService/Simulate", "/ordinaut.internal.v1.PipelineEngineService/Execute")


@pytest_asyncio.fixture
async def rest(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestSystem]:
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    async with rest_system(database_url) as started, working(started.grpc, database_url):
        yield started


async def call(caller: Caller, name: str, fields: dict[str, Any]) -> Any:
    method = METHODS[name]
    request = json_format.ParseDict(fields, GetMessageClass(method.input_type)())
    answer = getattr(getattr(caller, STUB_OF[method.containing_service.name]), name)(request)
    return [each async for each in answer] if method.server_streaming else await answer


class Attack:
    """The things of others, and the callers."""

    def __init__(self, rest: RestSystem) -> None:
        self.system = rest.grpc
        self._names: dict[str, str] = {}
        self._callers: dict[tuple[str, ...] | str, tuple[Caller, str]] = {}
        self._wide: dict[tuple[str, ...] | str, Caller] = {}

    async def prepare(self) -> None:
        """Creates what is attacked."""
        admin, owner = self.system.admin, await self.system.agent("owner", *OWNER)
        boss = await self.system.agent("boss", "approvals:write")
        self._callers = {
            ADMIN: (admin, "admin"),
            FOREIGN: (await self.system.project("other"), "admin"),
            "the owner of the run that asks": (owner, "owner"),
            "its assignee": (boss, "boss"),
        }
        reading = one("orchestrator.get_state", namespace="private", key="k")
        await call(owner, "CreateTask", {"task_id": "theirs", "task": {"pipeline": reading}})
        await call(admin, "CreateTask", {"task_id": "another", "task": {"pipeline": SET}})
        await call(owner, "PutStateEntry", {"entry": {"name": "state/private/k", "value": "SECRET"}})
        await call(owner, "CreateTool", {"tool_id": "pay.out", "tool": http(**SECRET)})
        run = await call(owner, "RunTask", {"name": "tasks/theirs"})
        question = one("orchestrator.request_approval", message="Pay?", assignees=["boss"], expires_in="1h")
        asking = await call(owner, "CreateRun", {"pipeline": question})
        while not (asked := (await call(admin, "ListApprovals", {"run": asking.name})).approvals):
            continue
        tasker, _ = await self.caller(TASKER)
        await call(tasker, "CreateTask", {"task_id": "mine", "task": {"pipeline": SET}})
        await self._prepare_narrow_tokens()
        await call(owner, "CreateTool", {"tool_id": "open.out", "tool": http()})
        await call(owner, "PublishEvent", {"event": {"topic": "payroll.paid", "data": {"amount": 5}}})
        page = await call(admin, "ListTasks", {"page_size": 1})
        self._names |= {
            "RUN": run.name,
            "APPROVAL": asked[0].name,
            "ADMIN_PAGE": page.next_page_token,
            "ADMIN_TOKEN": _token_name("admin", admin),
            "OWNER_TOKEN": _token_name("owner", owner),
        }

    async def _prepare_narrow_tokens(self) -> None:
        """Creates what wider tokens of the same agents have saved and started, and an agent without scopes."""
        reading = one("orchestrator.get_state", namespace="private", key=COMPUTED)
        await self.caller(RETRIER)
        failing = await call(
            self._wide[RETRIER], "CreateRun", {"pipeline": one("orchestrator.fail", code="X", message="x")}
        )
        assert (await finished(self._wide[RETRIER], failing.name)).state == Run.FAILED
        await self.caller(CATCHER)
        saved = {"pipeline": reading, "params": {"name": "k"}, "schedule": HOURLY}
        await call(self._wide[CATCHER], "CreateTask", {"task_id": "caught", "task": saved})
        await call(self._wide[CATCHER], "PauseTask", {"name": "tasks/caught"})
        minter, agent = await self.caller(MINTER)
        await call(minter, "CreateAgent", {"agent_id": "empty", "agent": {"scopes": ["runs:read"]}})
        token = await call(minter, "CreateAgentToken", {"parent": "agents/empty"})
        mask = {"agent": {"name": "agents/empty", "scopes": []}, "update_mask": "scopes"}
        await call(minter, "UpdateAgent", mask)
        self._names |= {
            "MY_WIDE_RUN": failing.name,
            "EMPTY_TOKEN": token.name,
            "MY_TOKEN": _token_name(agent, minter),
        }

    async def caller(self, holder: tuple[str, ...] | str) -> tuple[Caller, str]:
        """The caller and its agent, which may have more scopes than its token."""
        if holder not in self._callers:
            agent = f"a{len(self._callers)}"
            caller = await self.system.agent(agent, *(AGENTS_OF_TOKENS.get(holder, holder)))
            if holder in AGENTS_OF_TOKENS:
                self._wide[holder] = caller
                self._names["MY_WIDE_TOKEN"] = _token_name(agent, caller)
                fields = {"parent": f"agents/{agent}", "agent_token": {"scopes": list(holder)}}
                caller = self.system.caller((await call(self.system.admin, "CreateAgentToken", fields)).secret)
            self._callers[holder] = caller, agent
        return self._callers[holder]

    async def answer(self, attempt: Attempt) -> str:
        """How the attempt ends."""
        caller, agent = await self.caller(attempt.holder)
        fields = self._filled(attempt.fields, agent)
        try:
            answered = await call(caller, attempt.method, fields)
        except grpc.aio.AioRpcError as failure:
            return (await refusal(_raising(failure))).reason
        if not isinstance(answered, Run):
            return f"OK {answered}" if answered != type(answered)() else "nothing"
        run = await finished(caller, answered.name)
        if run.state == Run.FAILED:
            return f"the step fails: {run.error.code}"
        return f"OK {run.output}" if run.HasField("output") else "nothing"

    def _filled(self, value: Any, agent: str) -> Any:
        if isinstance(value, dict):
            return {key: self._filled(item, agent) for key, item in value.items()}
        return self._names.get(value, value.replace("/ME", f"/{agent}")) if isinstance(value, str) else value


def _token_name(agent: str, caller: Caller) -> str:
    return f"agents/{agent}/tokens/{caller.token.split('_')[1]}"


async def _raising(failure: BaseException) -> None:
    raise failure


@pytest_asyncio.fixture
async def attack(rest: RestSystem) -> Attack:
    started = Attack(rest)
    await started.prepare()
    return started


async def test_every_attempt_is_answered_as_it_must_be(attack: Attack) -> None:
    answers = [(attempt, await attack.answer(attempt)) for attempt in ATTEMPTS]
    wrong = [f"{each.title}: {answer}, not {each.answer}" for each, answer in answers if answer != each.answer]
    assert not wrong, "\n".join(wrong)


async def test_http_offers_no_way_around(attack: Attack, rest: RestSystem) -> None:
    tasker, _ = await attack.caller(TASKER)
    wrong = []
    for title, verb, path, body, headers, status in HTTP_ATTEMPTS:
        sent = {"authorization": "Bearer MINE"} | headers
        sent = {name: _with_tokens(text, tasker, rest.grpc.admin) for name, text in sent.items()}
        url = URL(rest.base + _with_tokens(path, tasker, rest.grpc.admin), encoded=True)
        async with rest.http.request(verb, url, json=body, headers=sent) as answer:
            text = await answer.text()
        if answer.status != status or "private" in text:
            wrong.append(f"{title}: {answer.status}, not {status} {text}")
    assert not wrong, "\n".join(wrong)


def _with_tokens(text: Any, mine: Caller, admin: Caller) -> Any:
    if isinstance(text, bytes):
        return text.replace(b"ADMIN", admin.token.encode())
    return text.replace("MINE", mine.token).replace("ADMIN", admin.token)


async def test_metadata_offer_no_way_around(attack: Attack) -> None:
    tasker, _ = await attack.caller(TASKER)
    method: Any = attack.system.channel.unary_unary(
        "/ordinaut.v1.TaskService/GetTask", request_serializer=GetTaskRequest.SerializeToString
    )
    own = ("authorization", f"Bearer {tasker.token}")
    for title, more, code in METADATA_ATTEMPTS:
        metadata = (own, *((key, _with_tokens(value, tasker, attack.system.admin)) for key, value in more))
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await method(GetTaskRequest(name="tasks/theirs"), metadata=metadata)
        assert (title, failure.value.code().name) == (title, code)


async def _called(channel: grpc.aio.Channel, path: str, metadata: Any) -> None:
    method: Any = channel.unary_unary(path)
    await method(b"", metadata=metadata)


async def test_methods_have_one_spelling(rest: RestSystem) -> None:
    """Also for an admin: a check by name could be avoided by another one."""
    metadata = (("authorization", f"Bearer {rest.grpc.admin.token}"),)
    for path in PATHS:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await _called(rest.grpc.channel, path, metadata)
        assert (path, failure.value.code()) == (path, grpc.StatusCode.UNIMPLEMENTED)


async def test_methods_between_processes_are_not_public(rest: RestSystem) -> None:
    """Neither at the gateway with an admin's token, nor at the engine without the internal one."""
    metadata = (("authorization", f"Bearer {rest.grpc.admin.token}"),)
    for path in INTERNAL:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await _called(rest.grpc.channel, path, metadata)
        assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED
    async with grpc.aio.insecure_channel(f"127.0.0.1:{rest.grpc.engine_port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await _called(channel, "/ordinaut.internal.v1.PipelineEngineService/ValidateValue", metadata)
        assert failure.value.code() == grpc.StatusCode.PERMISSION_DENIED


def tables() -> tuple[str, str, str]:
    """The rows of the tables of the page: calls, requests over HTTP, metadata."""
    calls, requests = [], []
    for each in ATTEMPTS:
        holder = each.holder if isinstance(each.holder, str) else " ".join(f"`{scope}`" for scope in each.holder)
        answer = each.answer if " " in each.answer or each.answer.islower() else f"`{each.answer}`"
        calls.append(f"| {holder} | {each.title} | `{each.method}` | {answer} |")
    for title, verb, path, _body, _headers, status in HTTP_ATTEMPTS:
        requests.append(f"| {title} | `{verb} {path}` | {status} |")
    metadata = [f"| {title} | `{code}` |" for title, _metadata, code in METADATA_ATTEMPTS]
    return "\n".join(calls), "\n".join(requests), "\n".join(metadata)


def test_the_page_has_every_attempt() -> None:
    page = PAGE.read_text()
    assert [table in page for table in tables()] == [True, True, True]


if __name__ == "__main__":
    print(*tables(), sep="\n\n")
