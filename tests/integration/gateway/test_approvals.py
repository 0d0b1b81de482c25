"""Questions of runs over the public face: who sees them, who may answer, and what the run makes of it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google.protobuf import json_format

from ordinaut.store import event
from ordinaut.v1.approval_pb2 import Approval
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest, GetApprovalRequest, ListApprovalsRequest
from ordinaut.v1.event_service_pb2 import ListEventsRequest
from ordinaut.v1.run_pb2 import Run, Wait
from ordinaut.v1.run_service_pb2 import (
    CancelRunRequest,
    CreateRunRequest,
    ReplayRunRequest,
    RetryRunRequest,
    WatchRunRequest,
)
from ordinaut.v1.task_service_pb2 import ValidateTaskRequest
from tests.integration.conftest import fresh_database
from tests.integration.support.gateway_system import (
    Caller,
    GatewaySystem,
    a_task,
    finished,
    gateway_system,
    refusal,
    working,
)
from tests.patience import PATIENCE
from tests.unit.engine.pipelines import step

pytestmark = pytest.mark.asyncio(loop_scope="module")
READ_AND_ANSWER = ("approvals:read", "approvals:write")


class People:
    """A system with a worker, an agent `owner` that runs pipelines, and an agent `boss` that decides."""

    def __init__(self, system: GatewaySystem, owner: Caller, boss: Caller) -> None:
        self.system = system
        self.owner = owner
        self.boss = boss

    async def asked(self, **question: Any) -> tuple[Run, Approval]:
        """A run of `owner` that asks the boss, and its approval."""
        asking = {"message": "Really?", "assignees": ["boss"], "expires_in": "1h", **question}
        step = {"id": "ask", "uses": "orchestrator.request_approval", "with": asking}
        return await self.waiting({"steps": [step], "output": "${steps.ask}"})

    async def waiting(self, pipeline: dict[str, Any]) -> tuple[Run, Approval]:
        """A run of `owner` once it waits, and what it asks."""
        request = json_format.ParseDict({"pipeline": pipeline}, CreateRunRequest())
        started = await self.owner.runs.CreateRun(request)
        run = await until_waiting(self.owner, started.name)
        return run, await self.owner.approvals.GetApproval(GetApprovalRequest(name=run.waits[0].approval))

    async def answered(self, approval: Approval, choice: str = "approve", by: Caller | None = None, **more: Any) -> Any:
        """What the boss's answer, or another's, gets."""
        return await (by or self.boss).approvals.AnswerApproval(answer(approval, choice, **more))

    async def output(self, run: Run) -> Any:
        """What the run gave at its end."""
        ended = await finished(self.owner, run.name)
        assert ended.state == Run.SUCCEEDED, ended.error
        return json_format.MessageToDict(ended.output)


def answer(approval: Approval, choice: str = "approve", **more: Any) -> AnswerApprovalRequest:
    return json_format.ParseDict({"name": approval.name, "choice": choice, **more}, AnswerApprovalRequest())


async def until_waiting(caller: Caller, name: str) -> Run:
    async with asyncio.timeout(PATIENCE):
        async for told in caller.runs.WatchRun(WatchRunRequest(name=name)):
            if told.run.state == Run.WAITING:
                found: Run = told.run
                return found
    raise AssertionError("it ended")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(postgres_url: str) -> AsyncIterator[People]:
    async with fresh_database(postgres_url) as url, gateway_system(url) as system, working(system, url):
        owner = await system.agent("owner", "runs:read", "runs:write", "events:publish", *READ_AND_ANSWER)
        yield People(system, owner, await system.agent("boss", *READ_AND_ANSWER))


async def test_a_run_resumes_with_the_answer(people: People) -> None:
    """It waits in state WAITING for a named approval; the answer is the step's output."""
    run, approval = await people.asked(data={"to": "all"})
    assert [(wait.kind, wait.step, wait.approval) for wait in run.waits] == [(Wait.APPROVAL, "ask", approval.name)]
    assert run.waits[0].deadline == approval.expire_time
    assert (approval.run, approval.step, approval.owner) == (run.name, "ask", "agents/owner")
    assert (approval.message, list(approval.choices)) == ("Really?", ["approve", "reject"])
    assert (approval.state, approval.task, approval.subject.tool) == (Approval.PENDING, "", "")
    assert json_format.MessageToDict(approval.data) == {"to": "all"}
    given = await people.answered(approval, comment="fine", subject_hash=approval.subject.hash)
    assert (given.state, given.answer.choice, given.answer.agent) == (Approval.APPROVED, "approve", "agents/boss")
    output = await people.output(run)
    assert output.pop("time") == given.answer.time.ToJsonString()
    assert output == {
        "status": "approved", "choice": "approve", "input": None, "data": {"to": "all"}, "agent": "agents/boss",
        "comment": "fine", "approval": approval.name,
    }  # fmt: skip


async def test_a_rejection_and_other_choices(people: People) -> None:
    """`reject` rejects, every other choice approves; a misspelt one is repaired."""
    run, approval = await people.asked()
    assert (await people.answered(approval, "reject")).state == Approval.REJECTED
    assert (await people.output(run))["status"] == "rejected"
    run, approval = await people.asked(choices=["today", "tomorrow"])
    refused = await refusal(people.boss.approvals.AnswerApproval(answer(approval, "tomorow")))
    assert (refused.code, refused.fields, refused.fixes) == ("INVALID_ARGUMENT", ["choice"], 1)
    await people.answered(approval, "tomorrow")
    output = await people.output(run)
    assert (output["status"], output["choice"]) == ("approved", "tomorrow")


async def test_visibility_and_who_may_answer(people: People) -> None:
    """Owner, assignees and admins see it; the owner may not answer; for everybody else it does not exist."""
    run, approval = await people.asked()
    stranger = await people.system.agent("stranger", *READ_AND_ANSWER)
    for call in (
        stranger.approvals.GetApproval(GetApprovalRequest(name=approval.name)),
        stranger.approvals.AnswerApproval(answer(approval)),
    ):
        assert (await refusal(call)).code == "NOT_FOUND"
    assert not (await stranger.approvals.ListApprovals(ListApprovalsRequest())).approvals
    refused = await refusal(people.owner.approvals.AnswerApproval(answer(approval)))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "SELF_APPROVAL")
    await people.answered(approval, by=people.system.admin)
    assert (await people.output(run))["agent"] == "agents/admin"


async def test_the_owner_may_answer_if_the_step_allows_it(people: People) -> None:
    run, approval = await people.asked(allow_self=True, assignees=[])
    await people.answered(approval, by=people.owner)
    assert (await people.output(run))["agent"] == "agents/owner"


async def test_an_answer_must_match_the_answer_schema(people: People) -> None:
    """`answer_schema` is checked, with paths; who rejects need not say it."""
    schema = {"type": "object", "properties": {"hour": {"type": "integer"}}, "required": ["hour"]}
    run, approval = await people.asked(answer_schema=schema)
    wrong: list[dict[str, Any]] = [{}, {"input": {"hour": "9"}}]
    for given in wrong:
        refused = await refusal(people.boss.approvals.AnswerApproval(answer(approval, **given)))
        assert (refused.code, [field.split(".")[0] for field in refused.fields]) == ("INVALID_ARGUMENT", ["input"])
    assert refused.fixes == 1, "the number without its quotes"
    await people.answered(approval, input={"hour": 9})
    assert (await people.output(run))["input"] == {"hour": 9}
    run, approval = await people.asked(answer_schema=schema)
    await people.answered(approval, "reject")
    assert (await people.output(run))["status"] == "rejected"


async def test_edits_outside_editable_parts_are_refused(people: People) -> None:
    """Each change elsewhere is named, with its repair; the run gets what was edited."""
    data = {"to": "all", "text": {"subject": "Hi", "body": "…"}, "copies": [1, 2]}
    run, approval = await people.asked(data=data, editable=["/text", "/copies/0"])
    edited = {"text": {"subject": "Hello", "new": 1}, "copies": [1, 3], "extra": True}
    refused = await refusal(people.boss.approvals.AnswerApproval(answer(approval, edited_input=edited)))
    assert refused.code == "INVALID_ARGUMENT"
    assert sorted(refused.fields) == ["edited_input.copies[1]", "edited_input.extra", "edited_input.to"]
    assert refused.fixes == 3
    edited = {"to": "all", "text": {"subject": "Hello"}, "copies": [5, 2]}
    await people.answered(approval, edited_input=edited)
    assert (await people.output(run))["data"] == edited


@pytest.mark.parametrize(
    ("given", "field", "reason"),
    [
        ({"choice": ""}, "choice", "FIELD_INVALID"),
        ({"comment": "x" * 1001}, "comment", "TOO_LARGE"),
        ({"comment": "\u202e"}, "comment", "FIELD_INVALID"),
        ({"input": "x" * 300_000}, "input", "TOO_LARGE"),
        ({"edited_input": {"a": 2}}, "edited_input.a", "FIELD_INVALID"),
        ({"edited_input": "x" * 1_100_000}, "edited_input", "INVALID_REQUEST"),
        ({"input": {"n": 2**53}}, "input.n", "INTEGER_PRECISION"),
        ({"request_id": "x" * 65}, "request_id", "TOO_LARGE"),
    ],
)
async def test_invalid_answers_are_refused(people: People, given: dict[str, Any], field: str, reason: str) -> None:
    _, approval = await people.asked(data={"a": 1})
    refused = await refusal(people.boss.approvals.AnswerApproval(answer(approval, **{"choice": "approve", **given})))
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", reason)
    assert field in refused.fields


async def test_an_answer_after_the_deadline_is_refused_before_the_expiry_is_recorded(people: People) -> None:
    """No scheduler runs here: the database's clock alone decides."""
    _, approval = await people.asked(expires_in="1ms")
    refused = await refusal(people.boss.approvals.AnswerApproval(answer(approval)))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "APPROVAL_STATE")
    assert refused.metadata["state"] == "EXPIRED"


async def test_an_answer_for_another_subject_is_refused(people: People) -> None:
    _, approval = await people.asked(data=1)
    _, other = await people.asked(data=2)
    refused = await refusal(people.boss.approvals.AnswerApproval(answer(approval, subject_hash=other.subject.hash)))
    assert (refused.code, refused.reason) == ("ABORTED", "SUBJECT_MISMATCH")


async def test_the_first_of_concurrent_answers_counts(people: People) -> None:
    """The others learn its state; the same request again gets the same answer."""
    run, approval = await people.asked()
    calls = [
        people.boss.approvals.AnswerApproval(answer(approval, choice)) for choice in ("approve", "reject", "approve")
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    [won] = [given for given in answers if isinstance(given, Approval)]
    refused = await refusal(people.boss.approvals.AnswerApproval(answer(approval, "reject")))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "APPROVAL_STATE")
    assert refused.metadata["state"] == Approval.State.Name(won.state)
    assert (await people.output(run))["choice"] == won.answer.choice
    _, approval = await people.asked()
    once = await people.answered(approval, request_id="one")
    assert await people.answered(approval, request_id="one") == once


async def test_approvals_end_with_their_run(people: People) -> None:
    """Cancelled by somebody, or by a sibling that stops the run; an answer then finds that the run has ended."""
    run, approval = await people.asked()
    await people.owner.runs.CancelRun(CancelRunRequest(name=run.name))
    found = await people.boss.approvals.GetApproval(GetApprovalRequest(name=approval.name))
    assert found.state == Approval.CANCELLED
    assert found.HasField("end_time")
    refused = await refusal(people.boss.approvals.AnswerApproval(answer(approval)))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "RUN_FINISHED")


async def test_a_cancelled_approval_cannot_be_answered(people: People) -> None:
    """One branch fails while the other asks: the run goes on, and waits for something else."""
    question = {"id": "ask", "uses": "orchestrator.request_approval", "with": {"message": "?", "assignees": ["boss"]}}
    fails = [
        {"id": "pause", "uses": "orchestrator.request_approval", "with": {"message": "now?", "assignees": ["boss"]}},
        {"id": "bad", "uses": "orchestrator.fail", "with": {"code": "BAD", "message": "no"}},
    ]
    both = {"id": "both", "on_error": [step("note")], "branches": {"one": [question], "other": fails}}
    run, _ = await people.waiting({"steps": [both, {**question, "id": "again"}], "output": "${steps.again.status}"})
    names = {wait.step: wait.approval for wait in run.waits}
    await people.answered(Approval(name=names["both.other.pause"]))
    async with asyncio.timeout(PATIENCE):
        async for told in people.owner.runs.WatchRun(WatchRunRequest(name=run.name)):
            if [wait.step for wait in told.run.waits] == ["again"]:
                break
    refused = await refusal(people.boss.approvals.AnswerApproval(answer(Approval(name=names["both.one.ask"]))))
    assert (refused.reason, refused.metadata["state"]) == ("APPROVAL_STATE", "CANCELLED")
    await people.answered(Approval(name=told.run.waits[0].approval))
    assert await people.output(run) == "approved"


async def test_approvals_are_listed_by_run_state_and_assignee(people: People) -> None:
    run, approval = await people.asked(message="listed")
    listed = people.boss.approvals.ListApprovals
    for request in (
        {"run": run.name},
        {"assignee": "me", "states": ["PENDING"], "page_size": 1},
        {"assignee": "agents/boss", "filter": 'message = "listed"'},
        {"filter": 'owner = "agents/owner" AND assignees : "agents/boss"', "page_size": 1},
    ):
        found = await listed(json_format.ParseDict(request, ListApprovalsRequest()))
        assert [one.name for one in found.approvals] == [approval.name], request
    assert not (await listed(ListApprovalsRequest(run=run.name, states=[Approval.APPROVED]))).approvals
    first = await listed(ListApprovalsRequest(page_size=1))
    second = await listed(ListApprovalsRequest(page_size=1, page_token=first.next_page_token))
    assert second.approvals[0].name != approval.name


def emitting(**more: Any) -> dict[str, Any]:
    """A step that publishes, once the boss agrees."""
    told = {"topic": "briefing.sent", "data": {"at": "${now}", "to": "all"}}
    asked = {"assignees": ["boss"], "editable": ["/data/to", "/topic"], "expires_in": "1h"}
    return step("tell", "orchestrator.emit", input=told, needs_approval=asked, **more)


async def test_the_approved_input_is_executed(people: People) -> None:
    """The guarded call is shown with its tool; edits must fit that tool; the journal has both."""
    run, approval = await people.waiting({"steps": [emitting()], "output": "${now}"})
    assert (approval.step, approval.subject.tool, approval.data.WhichOneof("kind")) == (
        "tell.approval", "orchestrator.emit", None
    )  # fmt: skip
    shown = json_format.MessageToDict(approval.subject.input)
    edited = {"topic": "", "data": {**shown["data"], "to": "boss"}}
    refused = await refusal(people.boss.approvals.AnswerApproval(answer(approval, edited_input=edited)))
    assert (refused.code, refused.fields) == ("INVALID_ARGUMENT", ["edited_input.topic"])
    edited["topic"] = "briefing.held"
    await people.answered(approval, edited_input=edited, subject_hash=approval.subject.hash)
    ended = await finished(people.owner, run.name)
    assert ended.state == Run.SUCCEEDED, ended.error
    done = {one.path: json_format.MessageToDict(one.input) for one in ended.steps}
    assert done["tell"] == edited
    assert done["tell.approval"]["data"] == shown
    assert ended.output.string_value > shown["data"]["at"], "nothing was rendered anew"
    assert (await people.owner.runs.ReplayRun(ReplayRunRequest(name=run.name))).same


async def test_a_retry_requests_only_refused_approvals_again(people: People) -> None:
    """The answer stands in the journal like any finished step."""
    fails = step("bad", "orchestrator.fail", input={"code": "BAD", "message": "no"})
    run, approval = await people.waiting({"steps": [emitting(), fails]})
    await people.answered(approval)
    assert (await finished(people.owner, run.name)).error.code == "BAD"
    again = await people.owner.runs.RetryRun(RetryRunRequest(name=run.name))
    assert (await finished(people.owner, again.name)).error.code == "BAD"
    assert not (await people.boss.approvals.ListApprovals(ListApprovalsRequest(run=again.name))).approvals
    run, approval = await people.waiting({"steps": [emitting()]})
    await people.answered(approval, "reject", comment="no")
    ended = await finished(people.owner, run.name)
    assert (ended.error.code, ended.error.step, ended.error.details["comment"]) == ("REJECTED", "tell", "no")
    again = await people.owner.runs.RetryRun(RetryRunRequest(name=run.name))
    waiting = await until_waiting(people.owner, again.name)
    await people.answered(Approval(name=waiting.waits[0].approval))
    assert (await finished(people.owner, again.name)).state == Run.SUCCEEDED


async def test_an_approval_without_deadline_gives_a_warning(people: People) -> None:
    """With what would end it, as a patch of the request."""
    task = a_task(pipeline={"steps": [step("ask", "orchestrator.request_approval", input={"message": "?"})]})
    checked = await people.system.admin.tasks.ValidateTask(ValidateTaskRequest(task=task))
    [fix] = checked.fixes
    assert (len(checked.warnings), fix.field) == (1, "task.pipeline.steps[0].with")
    assert json_format.MessageToDict(fix.operations[0]) == {
        "op": "add", "path": "/task/pipeline/steps/0/with/expires_in", "value": "7d"
    }  # fmt: skip


async def test_an_assignee_that_cannot_answer_gives_a_warning(people: People) -> None:
    """A misspelt agent, with its repair; one without the right. The templates are left alone."""
    await people.system.agent("mute", "runs:read")
    question = {"message": "?", "expires_in": "1h", "assignees": ["bos", "agents/boss", "mute", "${params.x}"]}
    asks = step("ask", "orchestrator.request_approval", input=question)
    inner = {"id": "g", "do": [emitting(), asks]}
    task = a_task(pipeline={"steps": [inner]})
    checked = await people.system.admin.tasks.ValidateTask(ValidateTaskRequest(task=task))
    where = "steps[0].do[1].with.assignees"
    assert list(checked.warnings) == [
        f"{where}[0]: agents/bos does not exist yet; did you mean agents/boss?",
        f"{where}[2]: agents/mute cannot answer: it lacks the scope approvals:write",
    ]
    [fix] = checked.fixes
    assert fix.operations[0]["path"] == "/task/pipeline/steps/0/do/1/with/assignees/0"
    blind = await people.system.agent("blind", "tasks:write", "events:publish")
    checked = await blind.tasks.ValidateTask(ValidateTaskRequest(task=task))
    assert list(checked.warnings) == []  # it may not read agents, so it does not learn which of them exist


async def test_approvals_are_published_as_events(people: People) -> None:
    """To whom it concerns, without what is asked."""
    run, approval = await people.asked(message="secret")
    await people.answered(approval)
    await people.output(run)
    async with people.system.database.transaction() as connection:
        await event.number(connection)
    listed = await people.system.admin.events.ListEvents(ListEventsRequest(topic="ordinaut.approval.*", page_size=1000))
    told = [one for one in listed.events if one.subject == approval.name]
    assert [one.topic.rpartition(".")[2] for one in told] == ["requested", "answered"]
    assert {one.source for one in told} == {run.name}
    assert told[0].data["assignees"] == ["agents/boss"]
    assert (told[1].publisher, told[1].data["state"]) == ("agents/boss", "APPROVED")
    assert "secret" not in str(told)
