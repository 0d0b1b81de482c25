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
APPROVER = ("approvals:write", "approvals:read")
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


@dataclass(frozen=True)
class Attempt:
    """A call with a token of these scopes, or of this caller, and how it must end: its reason, or that of its run."""

    who: tuple[str, ...] | str
    title: str
    method: str
    answer: str
    fields: dict[str, Any] = field(default_factory=dict)


def attempt(who: tuple[str, ...] | str, title: str, method: str, answer: str, **fields: Any) -> Attempt:
    return Attempt(who, title, method, answer, fields)


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
    attempt(MINTER, "raise the urgency of its own runs", "UpdateAgent", "PRIORITY_NOT_ALLOWED",
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
    attempt(NARROW_MINTER, "create a token with a scope that only its agent has", "CreateAgentToken", "MISSING_SCOPE",
            parent="agents/ME", agent_token={"scopes": ["runs:write"]}),
    attempt(NARROW_MINTER, "create an agent with such a scope", "CreateAgent", "MISSING_SCOPE", agent_id="x",
            agent={"scopes": ["runs:write"]}),
    attempt(NARROW_MINTER, "rotate the wider token of its own agent", "RotateAgentToken", "MISSING_SCOPE",
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
    attempt(TOOLER, "delete the tool of another agent", "DeleteTool", "MISSING_SCOPE", name="tools/pay.out"),
    attempt(TOOLER, "write state by calling the tool of a step", "CallTool", "MISSING_SCOPE",
            name="tools/orchestrator.put_state", input={"namespace": "private", "key": "k", "value": 1}),
    attempt(TOOLER, "start a task in this way", "CallTool", "MISSING_SCOPE", name="tools/orchestrator.run_task",
            input={"task": "tasks/theirs"}),
    attempt(STATER, "read another namespace", "GetStateEntry", "MISSING_SCOPE", name="state/private/k"),
    attempt(STATER, "the same through a path", "GetStateEntry", "RESOURCE_NOT_FOUND", name="state/public/../private/k"),
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
    attempt(APPROVER, "answer an approval of others", "AnswerApproval", "RESOURCE_NOT_FOUND", name="APPROVAL",
            choice="approve"),
    attempt("the agent whose run asks", "approve its own step", "AnswerApproval", "SELF_APPROVAL", name="APPROVAL",
            choice="approve"),
    attempt("its assignee", "a choice that was not offered", "AnswerApproval", "FIELD_INVALID", name="APPROVAL",
            choice="pay_more"),
    attempt(AUDITOR, "list projects", "ListProjects", "MISSING_SCOPE"),
    attempt(FOREIGN, "read a task", "GetTask", "RESOURCE_NOT_FOUND", name="tasks/theirs"),
    attempt(FOREIGN, "delete the project", "DeleteProject", "MISSING_SCOPE", name="projects/default"),
    attempt(ADMIN, "create a project", "CreateProject", "MISSING_SCOPE", project_id="p9"),
)  # fmt: skip
HTTP_ATTEMPTS: tuple[tuple[str, str, Any, dict[str, str], int], ...] = (
    ("PATCH", "/v1/tasks/mine", {"name": "tasks/theirs", "description": "x"}, {}, 400),
    ("POST", "/v1/tasks/mine:run", {"name": "tasks/theirs"}, {}, 400),
    ("POST", "/v1/tasks/mine:run?name=tasks/theirs", {}, {}, 400),
    ("GET", "/v1/tasks/mine%2F..%2Ftheirs", None, {}, 400),
    ("GET", "/v1/tasks/theirs", None, {"x-http-method-override": "DELETE"}, 404),
    ("GET", "/v1/whoami", None, {"authorization": "Bearer MINE, Bearer ADMIN"}, 401),
    ("GET", "/metrics", None, {}, 404),
)
"""Verb, path, body, headers and the status of the answer, with a token of TASKER."""
CHECK = "/ordinaut.internal.v1.PipelineEngineService/ValidateValue"
INTERNAL = ("/ordinaut.internal.v1.SchedulerService/Simulate", "/ordinaut.internal.v1.PipelineEngineService/Execute")


@pytest_asyncio.fixture
async def rest(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestSystem]:
    monkeypatch.setattr(authenticator, "CACHE_SECONDS", 0.0)
    async with rest_system(database_url) as started, working(started.grpc, database_url):
        yield started


async def call(caller: Caller, name: str, fields: dict[str, Any]) -> Any:
    method = METHODS[name]
    request = json_format.ParseDict(fields, GetMessageClass(method.input_type)())
    return await getattr(getattr(caller, STUB_OF[method.containing_service.name]), name)(request)


def unary(channel: grpc.aio.Channel, path: str) -> Any:
    """A call without serializers."""
    return channel.unary_unary(path)


class Attack:
    """The things of others, and the callers."""

    def __init__(self, rest: RestSystem) -> None:
        self.system = rest.grpc
        self._names: dict[str, str] = {}
        self._callers: dict[tuple[str, ...] | str, tuple[Caller, str]] = {}

    async def prepare(self) -> None:
        """Creates what is attacked."""
        admin, owner = self.system.admin, await self.system.agent("owner", *OWNER)
        boss = await self.system.agent("boss", "approvals:write")
        self._callers = {
            ADMIN: (admin, "admin"),
            FOREIGN: (await self.system.project("other"), "admin"),
            "the agent whose run asks": (owner, "owner"),
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
        page = await call(admin, "ListTasks", {"page_size": 1})
        self._names = {
            "RUN": run.name,
            "APPROVAL": asked[0].name,
            "ADMIN_PAGE": page.next_page_token,
            "ADMIN_TOKEN": _token_name("admin", admin),
            "OWNER_TOKEN": _token_name("owner", owner),
        }

    async def caller(self, who: tuple[str, ...] | str) -> tuple[Caller, str]:
        """The caller and its agent, which has more scopes than the token of NARROW_MINTER."""
        if who not in self._callers:
            agent = f"a{len(self._callers)}"
            caller = await self.system.agent(agent, *(MINTER if who == NARROW_MINTER else who))
            if who == NARROW_MINTER:
                self._names["MY_WIDE_TOKEN"] = _token_name(agent, caller)
                fields = {"parent": f"agents/{agent}", "agent_token": {"scopes": list(who)}}
                caller = self.system.caller((await call(self.system.admin, "CreateAgentToken", fields)).secret)
            self._callers[who] = caller, agent
        return self._callers[who]

    async def answer(self, attempt: Attempt) -> str:
        """How the attempt ends."""
        caller, agent = await self.caller(attempt.who)
        fields = self._filled(attempt.fields, agent)
        try:
            answered = await call(caller, attempt.method, fields)
        except grpc.aio.AioRpcError as failure:
            return (await refusal(_raising(failure))).reason
        if not isinstance(answered, Run):
            return f"OK {answered}"
        run = await finished(caller, answered.name)
        return f"the step fails: {run.error.code}" if run.state == Run.FAILED else f"OK {run.output}"

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
    answers = {attempt.title: await attack.answer(attempt) for attempt in ATTEMPTS}
    assert answers == {attempt.title: attempt.answer for attempt in ATTEMPTS}


async def test_http_offers_no_way_around(attack: Attack, rest: RestSystem) -> None:
    tasker, _ = await attack.caller(TASKER)
    for verb, path, body, headers, status in HTTP_ATTEMPTS:
        sent = {"authorization": "Bearer MINE"} | headers
        sent = {
            name: text.replace("MINE", tasker.token).replace("ADMIN", rest.grpc.admin.token)
            for name, text in sent.items()
        }
        async with rest.http.request(verb, URL(rest.base + path, encoded=True), json=body, headers=sent) as answer:
            assert answer.status == status, (verb, path, await answer.text())


async def test_methods_between_processes_are_not_public(rest: RestSystem) -> None:
    """Neither at the gateway with an admin's token, nor at the engine without the internal one."""
    metadata = (("authorization", f"Bearer {rest.grpc.admin.token}"),)
    for path in INTERNAL:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await unary(rest.grpc.channel, path)(b"", metadata=metadata)
        assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED
    async with grpc.aio.insecure_channel(f"127.0.0.1:{rest.grpc.engine_port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await unary(channel, CHECK)(b"", metadata=metadata)
        assert failure.value.code() == grpc.StatusCode.PERMISSION_DENIED


def table() -> str:
    """The rows of the page."""
    rows = []
    for each in ATTEMPTS:
        who = each.who if isinstance(each.who, str) else " ".join(f"`{scope}`" for scope in each.who)
        answer = each.answer if " " in each.answer else f"`{each.answer}`"
        rows.append(f"| {who} | {each.title} | `{each.method}` | {answer} |")
    return "\n".join(rows)


def test_the_page_has_every_attempt() -> None:
    assert table() in PAGE.read_text()


if __name__ == "__main__":
    print(table())
