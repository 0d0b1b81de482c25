"""A call of an UNSAFE tool is never repeated while its outcome is unknown."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson
import pytest

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from pipeline_engine.data.failure import TIMEOUT, TOOL_ERROR, TOOL_UNAVAILABLE, Failure
from pipeline_engine.interpreter.requests import Call, Commit, Output
from tests.unit.engine.pipelines import TOOL_TEXTS, checked, pipeline, step
from tests.unit.engine.simulated import mock, simulated, steps_of
from tests.unit.engine.world import NOW_US, CrashedError, World, error_of

SEND, FIND = "mail.send", "mail.find"
LOOKUP = {"uses": FIND, "arguments": {"key": "${idempotency_key}", "to": "${input.to}", "at": "${start_time}"}}
LOST = Failure(TOOL_UNAVAILABLE, "the connection broke", retryable=True, may_have_happened=True)
UNSENT = Failure(TOOL_UNAVAILABLE, "no connection", retryable=True)
PLAIN = step("send", SEND, input={"to": "${params.to}"})


def tools(*, lookup: dict[str, Any] | None = LOOKUP, **send: Any) -> list[bytes]:
    """Returns an UNSAFE tool and its lookup tool."""
    http = {"method": "POST", "url": "http://127.0.0.1:1/"}
    sender = {"name": SEND, "effect": "UNSAFE", "http": http, **({"lookup": lookup} if lookup else {}), **send}
    return [*TOOL_TEXTS, orjson.dumps(sender), orjson.dumps({"name": FIND, "effect": "READ", "http": http})]


@dataclass
class Post:
    """The server of mail.send and mail.find, with the number of calls by key; `faults` are results of mail.send."""

    faults: list[Failure] = field(default_factory=list)
    acts: list[bool] = field(default_factory=list)
    finds: list[Any] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    asked: list[Any] = field(default_factory=list)

    def __call__(self, call: Call) -> Output | Failure:
        if call.tool.name == FIND:
            self.asked.append(call.input)
            return self._find(call.input["key"])
        if call.tool.name != SEND:
            return Output({"events": [1]})
        if not self.acts or self.acts.pop(0):
            self.sent.append(call.idempotency_key)
        return self.faults.pop(0) if self.faults else Output({"id": f"m{len(self.sent)}"})

    def _find(self, key: str) -> Output | Failure:
        if self.finds:
            found = self.finds.pop(0)
            return found if isinstance(found, Failure) else Output(found)
        return Output({"happened": key in self.sent, "output": {"id": "found"}})


def world(post: Post, *steps: dict[str, Any], made_of: list[bytes] | None = None, **more: Any) -> World:
    document = pipeline(*(steps or (PLAIN,)), output="${steps.send}")
    return World(document, answer=post, tools=made_of or tools(), params={"to": "ann"}, **more)


def test_the_start_is_durable_before_the_request() -> None:
    """One commit with all earlier entries, and no further one for the end."""
    read = step("read", "calendar.list_events", input={"start": "x"})
    seen: list[Any] = []
    run = world(Post(), read, PLAIN)
    inner = run._serve

    def spy(request: Any) -> Any:
        seen.append([entry.state for entry in request.entries] if isinstance(request, Commit) else request.tool.name)
        return inner(request)

    run._serve = spy  # type: ignore[method-assign]
    assert run.run().state == "SUCCEEDED"
    assert seen == ["calendar.list_events", ["SUCCEEDED", "RUNNING"], SEND]
    assert run.states() == [("read", 1, "SUCCEEDED"), ("send", 1, "SUCCEEDED")]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("place", range(4))
def test_a_crash_at_any_request_does_not_repeat_the_call(place: int, before: bool) -> None:
    """Before and after each request is performed; the lookup finds a lost response."""
    post = Post()
    run = world(post, PLAIN, step("last", "calendar.list_events", input={"start": "x"}), crash_at=place)
    run.crash_before_answer = before
    assert run.run().state == "SUCCEEDED"
    assert post.sent == ["root/send"]
    assert run.states() == [("send", 1, "SUCCEEDED"), ("last", 1, "SUCCEEDED")]
    assert bool(post.asked) == ((place, before) in {(0, False), (1, True), (1, False), (2, True)})


@pytest.mark.parametrize("seed", range(80))
def test_crashes_and_lost_responses_in_loops_do_not_repeat_calls(seed: int) -> None:
    """Concurrent iterations with different outcomes, and three crashes."""
    random = Random(seed)
    post = Post(acts=[random.random() < 0.5 for _ in range(40)])
    inner = post.__call__

    def answer(call: Call) -> Output | Failure:
        found = inner(call)
        acted = call.idempotency_key in post.sent
        return LOST if call.tool.name == SEND and (not acted or random.random() < 0.4) else found

    each = step("each", SEND, input={"to": "${item}"}, foreach=["a", "b", "c"], retry={"max": 50, "delay": "1ms"})
    run = World(pipeline(each), answer=answer, tools=tools(), choose=lambda asked: random.randrange(len(asked)))
    for _ in range(3):
        run.crash_at, run.crash_before_answer = run.requests + random.randrange(12), random.random() < 0.5
        with suppress(CrashedError):
            run.segment()
            break
    run.crash_at = None
    assert run.run().state == "SUCCEEDED"
    assert sorted(post.sent) == ["root/each[0]", "root/each[1]", "root/each[2]"]


def test_a_lookup_gets_the_key_input_and_time_of_the_call() -> None:
    """Even if a later segment would render another input."""
    post = Post(faults=[LOST])
    run = world(post)
    assert orjson.loads(run.run().output) == {"id": "found"}
    began = datetime.fromtimestamp(run.journal[0].start_us / 1_000_000, UTC)
    assert post.asked == [{"key": "root/send", "to": "ann", "at": f"{began:%Y-%m-%dT%H:%M:%SZ}"}]


def test_the_recorded_input_is_used_again() -> None:
    """`now` differs when the run resumes; a started call is not rendered again."""
    run = world(Post(acts=[False, True]), step("send", SEND, input={"to": "${now}"}), crash_at=1)
    with pytest.raises(CrashedError):
        run.segment()
    run.now_us += 3_600_000_000
    assert run.run().state == "SUCCEEDED"
    assert [call.input["to"] for call in run.calls if call.tool.name == SEND] == ["2027-01-15T08:00:00Z"] * 2


def test_a_call_that_did_not_happen_is_retried() -> None:
    """As a new attempt, by the step's retry rule."""
    post = Post(faults=[LOST, LOST, LOST], acts=[False] * 3)
    run = world(post)
    error = error_of(run.run())
    assert (error["code"], error["attempt"], error["details"]["happened"]) == (TOOL_UNAVAILABLE, 3, False)
    assert run.states() == [("send", number, "FAILED") for number in (1, 2, 3)]
    post = Post(faults=[LOST], acts=[False, True])
    assert world(post).run().state == "SUCCEEDED"
    assert post.sent == ["root/send"]


def test_an_unsent_request_needs_no_lookup() -> None:
    """The next attempt is durable before it is made."""
    post = Post(faults=[UNSENT], acts=[False, True])
    run = world(post)
    assert run.run().state == "SUCCEEDED"
    assert post.asked == []
    assert run.states() == [("send", 1, "FAILED"), ("send", 2, "SUCCEEDED")]


@pytest.mark.parametrize("place", [2, 3])
def test_a_crash_during_the_retry_delay_needs_no_lookup(place: int) -> None:
    """A failed attempt is durable before its delay starts."""
    post = Post(faults=[UNSENT], acts=[False, True])
    run = world(post, made_of=tools(lookup=None), crash_at=place)
    assert run.run().state == "SUCCEEDED"
    assert post.sent == ["root/send"]


def test_a_refusal_is_a_known_outcome() -> None:
    """TOOL_ERROR is not retried unless the tool's rule lists it."""
    refused = Failure(TOOL_ERROR, "the tool answered 400")
    post = Post(faults=[refused], acts=[False])
    assert error_of(world(post).run())["code"] == TOOL_ERROR
    assert post.asked == []


def test_a_tools_own_retry_codes_need_no_lookup() -> None:
    """The codes of a step's rule do."""
    timeout = Failure(TIMEOUT, "no answer", retryable=True, may_have_happened=True)
    post = Post(faults=[timeout], acts=[False, True])
    run = world(post, made_of=tools(lookup=None, retry={"max": 1, "codes": [TIMEOUT]}))
    assert run.run().state == "SUCCEEDED"
    asked = step("send", SEND, input={"to": "x"}, retry={"max": 3, "codes": [TIMEOUT, "OUTCOME_UNKNOWN"]})
    post = Post(faults=[timeout])
    run = world(post, asked, made_of=tools(lookup=None), reply={"choice": "fail"})
    assert error_of(run.run())["code"] == "OUTCOME_UNKNOWN"
    assert post.sent == ["root/send"]


@pytest.mark.parametrize(
    ("finds", "asked"),
    [
        ([{"happened": None}] * 3, 3),
        ([LOST] * 3, 3),
        ([{"happened": "yes"}], 1),
        (["no object"], 1),
        ([{}], 1),
        ([Failure(TOOL_ERROR, "404")], 1),
    ],
)
def test_a_failing_lookup_leaves_the_outcome_unknown(finds: list[Any], asked: int) -> None:
    """After its retries a person gets the reason, and the call is not repeated."""
    post = Post(faults=[LOST], finds=finds)
    run = world(post, reply={"choice": "fail"})
    assert error_of(run.run())["code"] == "OUTCOME_UNKNOWN"
    assert "the connection broke; mail.find: " in orjson.loads(run.questions["send?attempt-1"].input)["message"]
    assert (len(post.asked), post.sent) == (asked, ["root/send"])


def test_an_undecided_lookup_is_retried() -> None:
    """It answers `happened: null`."""
    post = Post(faults=[LOST], finds=[{"happened": None}, {"happened": None}])
    assert orjson.loads(world(post).run().output) == {"id": "found"}
    assert len(post.asked) == 3


def test_the_output_from_a_lookup_is_validated() -> None:
    """By the tool's output schema; a failure is not retried."""
    made_of = tools(output_schema={"type": "object", "required": ["number"]})
    post = Post(faults=[LOST])
    assert error_of(world(post, made_of=made_of).run())["code"] == "VALIDATION_OUTPUT"
    assert post.sent == ["root/send"]


@pytest.mark.parametrize("crash_at", [None, 1])
def test_without_a_lookup_a_person_decides(crash_at: int | None) -> None:
    """In this segment and after a crash; the run waits for at most a week."""
    post = Post(faults=[] if crash_at else [LOST])
    run = world(post, made_of=tools(lookup=None), crash_at=crash_at)
    run.reply = {"choice": "happened", "input": {"id": "told"}}
    assert orjson.loads(run.run().output) == {"id": "told"}
    assert (post.sent, run.stays, run.states()) == (["root/send"], [["send?attempt-1"]], [("send", 1, "SUCCEEDED")])
    question = run.questions["send?attempt-1"]
    asked = orjson.loads(question.input)
    assert (asked["data"], asked["choices"]) == ({"to": "ann"}, ["happened", "repeat", "fail"])
    assert (question.guarded_tool, question.deadline_ms) == (SEND, 7 * 86_400_000)


def test_an_output_from_a_person_is_validated() -> None:
    """The call happened; only its output is invalid."""
    made_of = tools(lookup=None, output_schema={"type": "object", "required": ["id"]})
    run = world(Post(faults=[LOST]), made_of=made_of, reply={"choice": "happened", "input": "m1"})
    error = error_of(run.run())
    assert (error["code"], error["details"]) == ("VALIDATION_OUTPUT", {"happened": True})


def test_a_call_whose_output_exceeds_the_limit_has_happened() -> None:
    """A retry of the run must not repeat it without a verdict."""
    first = step("first", "calendar.list_events", input={"start": "x"})
    run = world(post := Post(), first, PLAIN, outputs_max_bytes=20)
    error = error_of(run.run())
    assert (error["code"], error["step"], error["details"]) == ("PAYLOAD_TOO_LARGE", "send", {"happened": True})
    assert post.sent == ["root/send"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"choice": "fail", "comment": "no trace"}, "agents/boss chose `fail`: no trace"),
        ({"status": "expired", "choice": None, "agent": None}, "the question was not answered in time"),
    ],
)
def test_an_undecided_outcome_stays_unknown(reply: dict[str, Any], words: str) -> None:
    """`on_error` applies; the step is not retried."""
    post = Post(faults=[LOST])
    run = world(post, {**PLAIN, "on_error": "continue", "retry": 5}, made_of=tools(lookup=None), reply=reply)
    error = orjson.loads(run.run().output)["error"]
    assert (error["code"], error["details"]["approval"]) == ("OUTCOME_UNKNOWN", "approvals/1")
    assert words in error["message"]
    assert (post.sent, run.states()) == (["root/send"], [("send", 1, "FAILED")])


def test_a_person_can_have_a_call_repeated() -> None:
    """As a new attempt, with a new question if its response is lost too."""
    post = Post(faults=[LOST, LOST], acts=[False, False, True])
    run = world(post, made_of=tools(lookup=None), reply={"choice": "repeat"})
    assert run.run().state == "SUCCEEDED"
    assert run.stays == [["send?attempt-1"], ["send?attempt-2"]]
    assert run.states() == [("send", 1, "FAILED"), ("send", 2, "FAILED"), ("send", 3, "SUCCEEDED")]
    assert {call.input["to"] for call in run.calls} == {"ann"}


@pytest.mark.parametrize("place", range(8))
def test_a_repeated_call_survives_crashes(place: int) -> None:
    """Before and after the response; a certain failure is then retried from this attempt on."""
    post = Post(faults=[LOST, UNSENT], acts=[False, False, True])
    run = world(post, {**PLAIN, "retry": 4}, made_of=tools(lookup=None), reply={"choice": "repeat"}, crash_at=place)
    assert run.run().state == "SUCCEEDED"
    assert [attempt for _, attempt, _ in run.states()] == list(range(1, len(run.journal) + 1))
    assert [state for *_, state in run.states()][-1] == "SUCCEEDED"


def test_several_questions_can_be_open_at_once() -> None:
    """A loop with several lost responses waits for all answers."""
    post = Post(faults=[LOST, LOST, LOST])
    each = step("each", SEND, input={"to": "${item}"}, foreach=["a", "b", "c"])
    run = World(pipeline(each, output="${steps.each[*].id}"), answer=post, tools=tools(lookup=None))
    run.reply = {"choice": "happened", "input": {"id": "told"}}
    assert orjson.loads(run.run().output) == ["told"] * 3
    assert run.stays[0] == [f"each[{number}]?attempt-1" for number in range(3)]
    assert len(post.sent) == 3


def test_a_tool_that_cannot_be_called_any_more_leaves_the_outcome_unknown() -> None:
    """It was deleted or forbidden while its call was in flight."""
    for more in ({"denied": (SEND,)}, {"tools": TOOL_TEXTS}):
        run = world(Post(), crash_at=1)
        with pytest.raises(CrashedError):
            run.segment()
        for name, value in more.items():
            setattr(run, name, value)
        assert error_of(run.run())["code"] == "OUTCOME_UNKNOWN"
        assert run.states() == [("send", 1, "FAILED")]


def test_an_expired_run_does_not_ask_a_person() -> None:
    """The attempt is recorded as unknown, and the run ends with its timeout."""
    timeout = Failure(TIMEOUT, "no answer", retryable=True, may_have_happened=True)
    post = Post(faults=[timeout])
    run = world(post, remaining_ms=1000)
    assert error_of(run.run())["code"] == TIMEOUT
    assert [orjson.loads(entry.error)["code"] for entry in run.journal] == ["OUTCOME_UNKNOWN"]
    assert post.asked == []


def test_a_pipeline_is_validated_against_the_lookups_of_its_tools() -> None:
    """A missing lookup tool, or one that writes, is a problem; a tool without lookup is a warning."""
    steps = {"steps": [step("send", SEND, input={"to": "x"})]}

    def said(made_of: list[bytes]) -> tuple[list[str], list[str]]:
        answer = checked(steps, tools=made_of)
        return [found.message for found in answer.violations], list(answer.warnings)

    assert said(tools()) == ([], [])
    problems, _ = said(tools()[:-1])
    assert problems == ["mail.send cannot be used: its lookup mail.find does not exist"]
    writing = [*tools()[:-1], orjson.dumps({"name": FIND, "http": {"url": "http://x.example/"}})]
    assert said(writing)[0] == [
        "mail.send cannot be used: its lookup mail.find must have the effect READ (got IDEMPOTENT)"
    ]
    assert "has no lookup" in said(tools(lookup=None))[1][0]


def test_a_simulation_calls_the_lookup() -> None:
    """After a mocked timeout; mocks answer the lookup at the step's path with `?lookup`."""
    lost = mock("send", error={"code": TIMEOUT})
    found = mock(tool=FIND, output={"happened": True, "output": {"id": "m"}})
    document = pipeline(PLAIN, output="${steps.send}")
    answer = simulated(document, lost, found, tools=tools(), params={"to": "ann"})
    assert (steps_of(answer), orjson.loads(answer.output)) == ([("send", 1, "SUCCEEDED")], {"id": "m"})
    pending = mock("send?lookup", output={"happened": None})
    told = mock("send?attempt-1", output={"choice": "happened", "input": {"id": "told"}})
    answer = simulated(document, lost, pending, told, tools=tools(), params={"to": "ann"})
    assert orjson.loads(answer.output) == {"id": "told"}


def test_approval_and_question_about_the_outcome_are_separate() -> None:
    asked = step("send", SEND, input={"to": "${now}"}, needs_approval=True)
    post = Post(acts=[True], faults=[LOST])
    run = world(post, asked, made_of=tools(lookup=None))
    replies: list[dict[str, Any]] = [{"choice": "approve"}, {"choice": "happened", "input": {"id": "told"}}]

    def answer(paths: list[str]) -> str:
        run.reply = replies.pop(0)
        return paths[0]

    run.happens = answer
    assert orjson.loads(run.run().output) == {"id": "told"}
    assert run.stays == [["send.approval"], ["send?attempt-1"]]
    assert (post.sent, run.calls[0].input) == (["root/send"], {"to": "2027-01-15T08:00:00Z"})


@pytest.mark.parametrize(
    "reply", [{"choice": "happened", "input": {"id": "m"}}, {"choice": "repeat"}, {"choice": "fail"}]
)
def test_a_replay_uses_the_recorded_outcomes(reply: dict[str, Any]) -> None:
    """The same attempts with the same inputs, and the same end."""
    document = pipeline({**PLAIN, "on_error": "continue"}, output="${steps.send}")
    run = World(document, answer=Post(faults=[LOST]), tools=tools(lookup=None), params={"to": "ann"}, reply=reply)
    ending = run.run()
    recorded = [pb.Recorded(entry=entry, now_us=NOW_US) for entry in run.journal]
    answer = simulated(document, tools=tools(lookup=None), params={"to": "ann"}, recorded=recorded, follow=True)
    assert (steps_of(answer), answer.output) == (run.states(), ending.output)
    assert [entry.input for entry in answer.steps] == [entry.input for entry in run.journal]


def test_a_replay_stops_at_a_call_without_an_outcome() -> None:
    run = world(Post(), crash_at=1)
    with pytest.raises(CrashedError):
        run.segment()
    recorded = [pb.Recorded(entry=entry, now_us=NOW_US) for entry in run.journal]
    answer = simulated(run.document, tools=tools(), params={"to": "ann"}, recorded=recorded, follow=True)
    assert (answer.state, steps_of(answer)) == ("RUNNING", [("send", 1, "RUNNING")])


def test_a_call_that_a_failing_sibling_prevents_has_no_start_entry() -> None:
    """Its start was not durable, so its request was never sent."""
    fails = step("no", "orchestrator.fail", input={"code": "NO", "message": "m"})
    run = world(post := Post(), {"id": "both", "branches": {"left": [PLAIN], "right": [fails]}})
    run.document.pop("output")
    assert error_of(run.run())["code"] == "NO"
    assert (post.sent, run.states()) == ([], [("both.right.no", 1, "FAILED"), ("both", 1, "FAILED")])
