"""Runs, events, tools, state, agents and the system on the command line."""

import json
from pathlib import Path

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Value

from ordinaut.errors import NotFoundError, OutOfRangeError, UnavailableError
from ordinaut.v1.agent_pb2 import Agent, AgentToken
from ordinaut.v1.agent_service_pb2 import ListAgentsResponse, WhoAmIResponse
from ordinaut.v1.approval_pb2 import Approval
from ordinaut.v1.approval_service_pb2 import ListApprovalsRequest, ListApprovalsResponse
from ordinaut.v1.error_pb2 import ErrorReason
from ordinaut.v1.event_pb2 import Event
from ordinaut.v1.event_service_pb2 import WatchEventsResponse
from ordinaut.v1.run_pb2 import Run, RunError, StepRun
from ordinaut.v1.run_service_pb2 import ListRunsResponse, WatchRunResponse
from ordinaut.v1.state_pb2 import StateEntry
from ordinaut.v1.state_service_pb2 import ListStateEntriesResponse
from ordinaut.v1.system_pb2 import Worker
from ordinaut.v1.system_service_pb2 import GetStatusResponse, LateTask, ListWorkersResponse
from ordinaut.v1.tool_pb2 import HttpTransport, Tool
from ordinaut.v1.tool_service_pb2 import DeleteToolResponse, ListToolsResponse
from tests.unit.cli.conftest import Answer, Cli, Gateway

GONE = UnavailableError(ErrorReason.CALL_CANCELLED, "going away", retry_after=0.01)


def test_runs_are_listed_by_task_state_and_parent(cli: Cli, gateway: Gateway) -> None:
    error = RunError(code="TIMEOUT", message="too slow")
    gateway.answers["ListRuns"] = ListRunsResponse(runs=[Run(name="runs/1", state=Run.FAILED, error=error)])
    out = cli("run", "list", "--task", "brief", "--state", "failed", "--limit", "5", "--parent", "1").out
    assert "runs/1" in out
    assert "TIMEOUT: too slow" in out
    request = gateway.requests("ListRuns")[0]
    assert (request.task, list(request.states), request.page_size) == ("tasks/brief", [Run.FAILED], 5)
    assert request.filter == 'parent = "runs/1"'


def test_a_run_is_printed_and_cancelled(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"GetRun": Run(name="runs/1"), "CancelRun": Run(name="runs/1", state=Run.CANCELLED)}
    assert json.loads(cli("run", "get", "1").out) == {"name": "runs/1"}
    assert cli("run", "cancel", "1", "--reason", "enough").out == "runs/1 CANCELLED\n"
    assert gateway.requests("CancelRun")[0].reason == "enough"


def test_a_failed_run_is_retried(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["RetryRun"] = Run(name="runs/2", state=Run.QUEUED)
    gateway.answers["WatchRun"] = [WatchRunResponse(run=Run(name="runs/2", state=Run.SUCCEEDED))]
    assert cli("run", "retry", "1").out == "runs/2\n"
    assert cli("run", "retry", "1", "--watch").out == "runs/2 SUCCEEDED\n"
    assert [request.name for request in gateway.requests("RetryRun")] == ["runs/1"] * 2


def test_a_watched_run_resumes_after_a_broken_stream(cli: Cli, gateway: Gateway) -> None:
    step = StepRun(path="a", state=StepRun.FAILED, attempt=2, error=RunError(code="TIMEOUT", message="slow"))
    failed = Run(name="runs/1", state=Run.FAILED, error=RunError(code="TIMEOUT", message="slow"))
    running: Answer = [WatchRunResponse(run=Run(name="runs/1", state=Run.RUNNING)), GONE]
    gateway.queue["WatchRun"] = [running, [WatchRunResponse(run=failed, steps=[step])]]
    result = cli("run", "watch", "1")
    assert result.exit_code == 1
    assert result.out.splitlines() == [
        "runs/1 RUNNING",
        "a FAILED try 2  TIMEOUT: slow",
        "runs/1 FAILED TIMEOUT: slow",
    ]


def test_a_watched_run_as_json_is_a_line_for_each_change(cli: Cli, gateway: Gateway) -> None:
    states = [Run.RUNNING, Run.SUCCEEDED]
    gateway.answers["WatchRun"] = [WatchRunResponse(run=Run(name="runs/1", state=state)) for state in states]
    result = cli("run", "watch", "1", "--json")
    assert result.exit_code == 0
    assert [json.loads(line)["state"] for line in result.out.splitlines()] == ["RUNNING", "SUCCEEDED"]


def test_a_published_event_is_repeated_under_one_request_id(cli: Cli, gateway: Gateway) -> None:
    gateway.queue["PublishEvent"] = [GONE]
    gateway.answers["PublishEvent"] = Event(name="events/1")
    assert cli("event", "publish", "mail.received", "--data", '{"n": 1}', "--subject", "s").out == "events/1\n"
    first, second = gateway.requests("PublishEvent")
    assert first == second
    assert first.request_id
    assert (first.event.topic, first.event.subject, dict(first.event.data)) == ("mail.received", "s", {"n": 1})


@pytest.mark.parametrize("data", ["[1]", "{", '{"n": 9007199254740993}', '{"n": NaN}'])
def test_only_json_objects_are_published(cli: Cli, gateway: Gateway, data: str) -> None:
    assert cli("event", "publish", "mail.received", "--data", data).exit_code == 2
    assert gateway.asked == []


def test_watched_events_resume_after_the_last_one(cli: Cli, gateway: Gateway) -> None:
    gateway.queue["WatchEvents"] = [[event(7), GONE], [event(9)]]
    result = cli("event", "watch", "mail.*", "--after", "5", "--count", "2", "--json")
    assert [json.loads(line)["position"] for line in result.out.splitlines()] == ["7", "9"]
    assert [request.after_position for request in gateway.requests("WatchEvents")] == [5, 7]


def test_an_expired_position_is_an_error(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["WatchEvents"] = OutOfRangeError(ErrorReason.POSITION_OUT_OF_RANGE, "trimmed")
    assert cli("event", "watch", "--after", "1").exit_code == 1


def test_tools_are_applied_listed_and_deleted(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "tool.json").write_text('{"name": "mail.send", "timeouts": {"run": "5m"}, "http": {"url": "http://x"}}')
    listed = Tool(name="tools/mail.send", effect=Tool.READ, http=HttpTransport(url="http://x"), description="d" * 99)
    gateway.answers = {
        "GetTool": NotFoundError.of("tools/mail.send"),
        "CreateTool": listed,
        "ListTools": ListToolsResponse(tools=[listed]),
        "DeleteTool": Empty(),
    }
    assert cli("tool", "apply", "-f", str(tmp_path / "tool.json")).out == "tools/mail.send created\n"
    created = gateway.requests("CreateTool")[0]
    assert (created.tool_id, created.tool.timeouts.run.seconds) == ("mail.send", 300)
    assert cli("tool", "list").out.splitlines()[1].split()[:3] == ["tools/mail.send", "READ", "http"]
    assert cli("tool", "delete", "mail.send").out == "tools/mail.send deleted\n"


def test_an_updated_tool_loses_its_old_transport(cli: Cli, gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "tool.yaml").write_text("name: mail.send\nhttp: {url: http://x}\n")
    gateway.answers = {"GetTool": Tool(etag="1"), "UpdateTool": Tool(name="tools/mail.send", description="new")}
    assert cli("tool", "apply", "-f", str(tmp_path / "tool.yaml")).out == "tools/mail.send updated\n"
    mask = set(gateway.requests("UpdateTool")[0].update_mask.paths)
    assert {"http", "input_schema"} <= mask
    assert not {"name", "etag", "orchestrator", "owner"} & mask


def test_state_is_put_with_and_without_a_revision(cli: Cli, gateway: Gateway) -> None:
    entry = StateEntry(name="state/a/b/c", value=Value(string_value="ă"), revision=3)
    gateway.answers = {"PutStateEntry": entry, "GetStateEntry": entry}
    assert cli("state", "put", "a/b/c", '"ă"').out == "state/a/b/c revision 3\n"
    cli("state", "put", "a/b/c", "null", "--revision", "0")
    free, bound = gateway.requests("PutStateEntry")
    assert not free.HasField("revision")
    assert bound.HasField("revision")
    assert bound.entry.value.HasField("null_value")
    assert cli("state", "get", "a/b/c").out == '"ă"\n'


def test_an_integral_number_is_printed_without_fraction(cli: Cli, gateway: Gateway) -> None:
    gateway.answers["GetStateEntry"] = StateEntry(name="state/a/b", value=Value(number_value=5))
    assert cli("state", "get", "a/b").out == "5\n"
    assert json.loads(cli("--json", "state", "get", "a/b").out)["value"] == 5


def test_state_is_listed_by_namespace(cli: Cli, gateway: Gateway) -> None:
    entry = StateEntry(name="state/a/b", value=Value(number_value=1), revision=1)
    gateway.answers["ListStateEntries"] = ListStateEntriesResponse(entries=[entry])
    assert "state/a/b" in cli("state", "list", "a").out
    assert gateway.requests("ListStateEntries")[0].parent == "state/a"


def test_a_new_agent_gets_a_token(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"CreateAgent": Agent(name="agents/bot"), "CreateAgentToken": AgentToken(secret="ord_1_2")}
    assert cli("agent", "create", "bot", "--scope", "tasks:write", "--scope", "runs:read").out == "ord_1_2\n"
    request = gateway.requests("CreateAgent")[0]
    assert (request.agent_id, list(request.agent.scopes)) == ("bot", ["tasks:write", "runs:read"])
    assert gateway.requests("CreateAgentToken")[0].parent == "agents/bot"


def test_scopes_are_added_to_those_of_an_agent(cli: Cli, gateway: Gateway) -> None:
    agent = Agent(name="agents/bot", scopes=["tasks:read", "runs:read"], etag='"1"')
    gateway.answers = {"GetAgent": agent, "UpdateAgent": Agent(name="agents/bot", scopes=["tasks:read", "tasks:write"])}
    out = cli("agent", "grant", "bot", "--scope", "tasks:write", "--scope", "runs:read").out
    assert out == "agents/bot: tasks:read, tasks:write\n"
    request = gateway.requests("UpdateAgent")[0]
    assert list(request.agent.scopes) == ["tasks:read", "runs:read", "tasks:write"]
    assert (request.agent.etag, list(request.update_mask.paths)) == ('"1"', ["scopes"])


def test_a_token_may_be_restricted(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"CreateAgentToken": AgentToken(secret="ord_1_2")}
    assert cli("agent", "token", "create", "bot", "--scope", "runs:read").out == "ord_1_2\n"
    request = gateway.requests("CreateAgentToken")[0]
    assert (request.parent, list(request.agent_token.scopes)) == ("agents/bot", ["runs:read"])


def test_a_deleted_tool_prints_its_warnings(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"DeleteTool": DeleteToolResponse(warnings=["tasks/a uses tools/mail.send"])}
    result = cli("tool", "delete", "mail.send")
    assert result.out == "tools/mail.send deleted\n"
    assert result.err == "warning: tasks/a uses tools/mail.send\n"


def test_status_names_late_tasks_and_missing_workers(cli: Cli, gateway: Gateway) -> None:
    late = LateTask(task="tasks/report", reason=LateTask.NOT_STARTED)
    late.delay.FromSeconds(120)
    gateway.answers = {"GetStatus": GetStatusResponse(late_tasks=[late]), "ListWorkers": ListWorkersResponse()}
    out = cli("status").out
    assert "0: no run starts" in out
    assert "tasks/report" in out
    assert "NOT_STARTED" in out
    assert "120.0 s" in out


def test_whoami_and_status(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {
        "WhoAmI": WhoAmIResponse(agent=Agent(name="agents/admin"), project="default", scopes=["admin"]),
        "GetStatus": GetStatusResponse(version="0.1.0", due_work={"READY": 3}, components={"postgres": "SERVING"}),
        "ListWorkers": ListWorkersResponse(workers=[Worker(name="workers/1", host="h:1", leased_runs=2)]),
    }
    assert cli("whoami").out == "agents/admin in project default: admin\n"
    out = cli("status").out
    assert "SERVING" in out
    assert "h:1, 2 leased runs" in out
    assert json.loads(cli("status", "--json").out)["due_work"] == {"READY": "3"}


def event(position: int) -> WatchEventsResponse:
    return WatchEventsResponse(event=Event(name=f"events/{position}", position=position, topic="mail.received"))


def asked() -> Approval:
    subject = Approval.Subject(hash="abc")
    subject.input.struct_value.update({"text": "Hi", "to": "all"})
    return Approval(
        name="approvals/1", message="q" * 99, choices=["approve"], state=Approval.PENDING, run="runs/1", subject=subject
    )


def test_approvals_are_listed_and_printed(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"ListApprovals": ListApprovalsResponse(approvals=[asked()]), "GetApproval": asked()}
    assert cli("approval", "list", "--mine").out.splitlines()[1].split()[:2] == ["approvals/1", "PENDING"]
    request = gateway.requests("ListApprovals")[0]
    assert (request.assignee, list(request.states), request.page_size) == ("me", [Approval.PENDING], 50)
    cli("approval", "list", "--all", "--run", "7")
    assert gateway.requests("ListApprovals")[1] == ListApprovalsRequest(run="runs/7", page_size=50)
    assert json.loads(cli("approval", "show", "1").out)["subject"]["hash"] == "abc"


def test_an_answer_includes_the_subject_hash(cli: Cli, gateway: Gateway) -> None:
    gateway.answers = {"GetApproval": asked(), "AnswerApproval": Approval(name="approvals/1", state=Approval.APPROVED)}
    result = cli("approval", "answer", "1", "approve", "--edit", "/text=Hello", "--input", "[1]", "--comment", "ok")
    assert result.out == "approvals/1 APPROVED\n"
    request = gateway.requests("AnswerApproval")[0]
    assert (request.name, request.choice, request.subject_hash) == ("approvals/1", "approve", "abc")
    assert (dict(request.edited_input.struct_value), request.comment) == ({"text": "Hello", "to": "all"}, "ok")
    cli("approval", "answer", "1", "reject")
    assert not gateway.requests("AnswerApproval")[1].HasField("edited_input")
    assert cli("approval", "answer", "1", "approve", "--edit", "/nowhere/x=1").exit_code == 2


def test_agents_are_listed_changed_and_deleted(cli: Cli, gateway: Gateway) -> None:
    agent = Agent(name="agents/bot", scopes=["tasks:read"], display_name="Bot")
    gateway.answers = {
        "ListAgents": ListAgentsResponse(agents=[agent]),
        "GetAgent": agent,
        "UpdateAgent": agent,
        "DeleteAgent": Empty(),
    }
    assert "agents/bot" in cli("agent", "list").out
    assert '"display_name": "Bot"' in cli("agent", "get", "bot").out
    assert cli("agent", "update", "bot", "--scope", "tasks:read").out == "agents/bot: tasks:read\n"
    assert list(gateway.requests("UpdateAgent")[0].update_mask.paths) == ["scopes"]
    assert cli("agent", "update", "bot").exit_code == 2
    assert cli("agent", "delete", "bot").out == "agents/bot deleted\n"
