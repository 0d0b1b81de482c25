"""A call that a tool has accepted is not made again: its result is polled, also after a crash."""

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from pipeline_engine.data.failure import TIMEOUT, TOOL_ERROR, Failure, timed_out
from pipeline_engine.interpreter.requests import Accepted, Call, Output
from tests.unit.engine.pipelines import TOOL_TEXTS, pipeline, step
from tests.unit.engine.world import World, error_of

JOB, LATER = "http://127.0.0.1:1/jobs/1", "http://127.0.0.1:1/jobs/1/result"
EFFECTS = ["IDEMPOTENT", "UNSAFE"]


@dataclass
class Tool:
    """Accepts each call, and answers polls with `polls`, of which the last one repeats."""

    polls: list[Any]
    made: list[str] = field(default_factory=list)
    polled: list[str] = field(default_factory=list)

    def __call__(self, call: Call) -> Any:
        if not call.location:
            self.made.append(call.idempotency_key)
            return Accepted(JOB, 2.0)
        self.polled.append(call.location)
        return self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]


def world(tool: Tool, effect: str, **more: Any) -> World:
    http = {"method": "POST", "url": "http://127.0.0.1:1/", "polling": {"timeout": "60s"}}
    texts = [*TOOL_TEXTS, orjson.dumps({"name": "job.run", "effect": effect, "http": http})]
    document = pipeline(
        step("run", "job.run", input={}, timeout="5s", retry={"max": 1, "delay": "1s"}), output="${steps.run}"
    )
    return World(document, tool, tools=texts, **more)


@pytest.mark.parametrize("effect", EFFECTS)
def test_the_result_is_polled_where_the_tool_says(effect: str) -> None:
    tool = Tool([Accepted(JOB, 2.0), Accepted(LATER, 3.0), timed_out(5.0), Output({"n": 1})])
    ended = world(tool, effect).run()
    assert orjson.loads(ended.output) == {"n": 1}
    assert (len(tool.made), tool.polled) == (1, [JOB, JOB, LATER, LATER])


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("crash_before_answer", [True, False])
def test_no_crash_makes_the_call_again(effect: str, crash_before_answer: bool) -> None:
    """Except one before the address is recorded: then the key is the same, and an UNSAFE call is in doubt."""
    repeated = 0
    for crash_at in range(1, 14):
        tool = Tool([Accepted(JOB, 2.0), Accepted(LATER, 40.0), Output({"n": 1})])
        each = world(tool, effect, crash_at=crash_at, crash_before_answer=crash_before_answer)
        each.reply = {"status": "approved", "choice": "repeat", "agent": "agents/a", "time": "t", "approval": "a"}
        ended = each.run()
        assert ended.state == "SUCCEEDED", error_of(ended)
        assert len(set(tool.made)) == 1
        repeated += len(tool.made) - 1
        if JOB in tool.polled:
            first_poll = len(tool.made)
            assert first_poll <= 2
    assert repeated <= 2, "only between the call and the record of its address"


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_result_that_never_comes_is_a_timeout(effect: str) -> None:
    tool = Tool([Accepted(JOB, 20.0)])
    each = world(tool, effect)
    each.reply = {"status": "approved", "choice": "fail", "agent": "agents/a", "time": "t", "approval": "a"}
    ended = each.run()
    code = "OUTCOME_UNKNOWN" if effect == "UNSAFE" else TIMEOUT
    assert error_of(ended)["code"] == code
    if effect == "IDEMPOTENT":
        assert "its result was not ready within 60 s" in error_of(ended)["message"]
    assert len(tool.made) == (1 if effect == "UNSAFE" else 2), "an IDEMPOTENT call is retried with its key"
    assert len(set(tool.made)) == 1


def test_a_definite_failure_of_an_unsafe_call_is_not_in_doubt() -> None:
    tool = Tool([Failure(TOOL_ERROR, "the tool reports that the accepted call has failed")])
    ended = world(tool, "UNSAFE").run()
    assert (error_of(ended)["code"], len(tool.made)) == (TOOL_ERROR, 1)


def test_a_poll_without_a_usable_response_leaves_an_unsafe_call_in_doubt() -> None:
    tool = Tool([Failure(TOOL_ERROR, "polling: the tool answered 404", may_have_happened=True)])
    each = world(tool, "UNSAFE")
    each.reply = {"status": "approved", "choice": "fail", "agent": "agents/a", "time": "t", "approval": "a"}
    assert (error_of(each.run())["code"], len(tool.made)) == ("OUTCOME_UNKNOWN", 1)
