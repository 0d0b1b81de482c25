"""A question outlives every process, is answered once, and what was approved is what is called, once."""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import asyncpg

from ordinaut.client import Client
from ordinaut.client.retry import RetryPolicy, with_retries
from ordinaut.v1.agent_pb2 import Agent
from ordinaut.v1.agent_service_pb2 import CreateAgentRequest, CreateAgentTokenRequest
from ordinaut.v1.approval_pb2 import Approval
from ordinaut.v1.approval_service_pb2 import AnswerApprovalRequest, ListApprovalsRequest
from ordinaut.v1.run_pb2 import Run, StepRun, Wait
from tests.acceptance.system import SystemUnderTest
from tests.acceptance.tasks import create_task, ended, get_run, run_task, until_waiting
from tests.acceptance.tool_server import ToolServer
from tests.patience import PATIENCE

ASKED = {"message": "Do it?", "assignees": ["boss"], "expires_in": "90d"}
AHEAD = """
CREATE OR REPLACE FUNCTION clock_now() RETURNS timestamptz LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
  RETURN clock_timestamp() + interval '{} days';
END $$
"""


def pipeline() -> dict[str, Any]:
    """A question that nobody answers, and a call that waits to be approved."""
    call = {"id": "call", "uses": "work.step", "with": {"run": "${run.name}", "step": "at ${now}"}, "retry": 20}
    ignored = {"id": "ignored", "uses": "orchestrator.request_approval", "with": {**ASKED, "expires_in": "30d"}}
    branches = {"one": [{**call, "needs_approval": ASKED}], "other": [ignored]}
    return {"version": 1, "steps": [{"id": "both", "branches": branches}], "output": "${steps.both.other.status}"}


async def boss_of(system: SystemUnderTest, client: Client) -> Client:
    """An agent that may do nothing but answer."""
    scopes = ["approvals:read", "approvals:write"]
    await client.agents.CreateAgent(CreateAgentRequest(agent_id="boss", agent=Agent(scopes=scopes)))
    token = await client.agents.CreateAgentToken(CreateAgentTokenRequest(parent="agents/boss"))
    return Client(system.said["grpc"], token.secret)


async def move_clock(system: SystemUnderTest, days: int) -> None:
    """Puts the database's clock ahead; to the workers their leases seem to have ended meanwhile."""
    connection = await asyncpg.connect(system.said["database_url"])
    try:
        await connection.execute(AHEAD.format(days))
    finally:
        await connection.close()


async def answer(boss: Client, approval: str, choice: str) -> Approval:
    request = AnswerApprovalRequest(name=approval, choice=choice, request_id=str(uuid.uuid4()))
    return await with_retries(lambda: boss.approvals.AnswerApproval(request), RetryPolicy())


async def pending(boss: Client) -> list[Approval]:
    request = ListApprovalsRequest(assignee="me", states=[Approval.PENDING])
    return list((await with_retries(lambda: boss.approvals.ListApprovals(request), RetryPolicy())).approvals)


async def test_it_is_answered_whatever_was_killed(tmp_path: Path) -> None:
    async with ToolServer() as tool, SystemUnderTest(tmp_path / "data") as system:
        async with system.client() as client, await boss_of(system, client) as boss:
            await tool.register(client)
            await create_task(client, "work", pipeline())
            name = await run_task(client, "work")
            run = await until_waiting(client, name, "both.one.call.approval", "both.other.ignored")
            assert {wait.kind for wait in run.waits} == {Wait.APPROVAL}
            for service in ("worker", "pipeline_engine", "scheduler", "gateway"):
                await system.kill(service)
            await move_clock(system, days=29)
            await system.kill("scheduler")
            assert len(await pending(boss)) == 2
            await move_clock(system, days=30)
            await until_waiting(client, name, "both.one.call.approval")  # nobody has answered the other one
            [question] = await pending(boss)
            killing = asyncio.create_task(system.kill("gateway"))
            given = await answer(boss, question.name, "approve")
            await killing
            await system.kill("worker")
            assert await ended(client, [name], PATIENCE) == {name: ["succeeded"]}
            run = await get_run(client, name)
            assert (given.state, run.state, run.output.string_value) == (Approval.APPROVED, Run.SUCCEEDED, "expired")
            assert {step.path: step.state for step in run.steps} == dict.fromkeys(
                ["both.one.call.approval", "both.one.call", "both.other.ignored", "both"], StepRun.SUCCEEDED
            )
            shown = question.subject.input.struct_value["step"]
            assert {(called, step) for called, step, _ in tool.calls} == {(name, shown)}
            assert len({key for _, _, key in tool.calls}) == 1
            assert not await pending(boss)
        assert await system.stop() == 0
