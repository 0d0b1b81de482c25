"""Simulated runs use mocked or generated responses."""

from typing import Any

import orjson
import pytest

from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from pipeline_engine.simulation import simulation, trace
from tests.unit.engine.pipelines import BUILT_IN, pipeline, step
from tests.unit.engine.simulated import mock, output_of, simulated, steps_of
from tests.unit.engine.world import NOW_US

LIST = "calendar.list_events"
WEATHER = "weather.forecast"
SECOND = 1_000_000
KEYS = ("publish_time", "time", "status", "choice", "edited_input", "agent", "comment", "revision", "until", "data")
CITY = {"city": "Porto"}


def test_simulated_time_passes_at_once() -> None:
    """Waits, retry delays and slow tools advance the clock of `now`."""
    document = pipeline(
        step("a", LIST, input={"start": "${now}"}, retry={"max": 1, "delay": "1h", "jitter": 0}),
        step("b", "orchestrator.wait", input={"for": "7d"}),
        step("c", LIST, input={"start": "${now}"}),
    )
    failure = mock("a", error={"code": "TOOL_UNAVAILABLE"}, attempts=[1])
    answer = simulated(document, failure, mock(tool=LIST, output={"events": []}, duration_ms=2000))
    assert steps_of(answer) == [("a", 1, "FAILED"), ("a", 2, "SUCCEEDED"), ("b", 1, "SUCCEEDED"), ("c", 1, "SUCCEEDED")]
    assert [(entry.start_us - NOW_US) // SECOND for entry in answer.steps] == [0, 3600, 3602, 3602 + 7 * 86_400]
    assert answer.end_us - answer.steps[3].start_us == 2 * SECOND
    starts = [orjson.loads(answer.steps[place].input)["start"] for place in (0, 1, 3)]
    assert starts == ["2027-01-15T08:00:00Z", "2027-01-15T08:00:00Z", "2027-01-22T09:00:02Z"]
    assert answer.claims == 3


def test_the_first_matching_mock_answers() -> None:
    """By path, by path with any index, by tool; as often as it allows."""
    loop = {"id": "l", "foreach": [1, 2, 3], "max_parallel": 1, "do": [step("x", WEATHER, input=CITY)]}
    mocks = [
        mock("l[1].x", output="one"),
        mock("l[*].x", output="some", times=1),
        mock(tool=WEATHER, output="any"),
        mock("m", output="never"),
    ]
    answer = simulated(pipeline(loop), *mocks)
    assert output_of(answer, "l") == ["some", "one", "any"]
    assert list(answer.warnings) == ["mocks[3] was not used"]
    assert not answer.generated


def test_a_mocked_duration_above_the_timeout_is_a_timeout() -> None:
    """A mock with a duration only has a generated output."""
    document = pipeline(step("a", WEATHER, input=CITY, timeout="5s", retry=0))
    answer = simulated(document, mock("a", duration_ms=6000))
    assert (answer.state, orjson.loads(answer.error)["code"]) == ("FAILED", "TIMEOUT")
    assert answer.end_us - NOW_US == 5 * SECOND


def test_a_mocked_output_must_match_the_output_schema() -> None:
    answer = simulated(pipeline(step("a", LIST, input={"start": "x"})), mock("a", output={"evnts": []}))
    assert (answer.state, orjson.loads(answer.error)["code"]) == ("FAILED", "VALIDATION_OUTPUT")


def test_outputs_without_mock_are_generated() -> None:
    """The seed determines them; a missing or unsupported schema is a warning."""
    tool = {
        "name": "a.b",
        "output_schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
        "http": {"url": "http://example.com"},
    }
    odd = {**tool, "name": "o.d", "output_schema": {"type": "string", "pattern": "^[0-9]{9}$"}}
    bare = {**tool, "name": "b.c", "output_schema": None}
    texts = [orjson.dumps(one) for one in (*BUILT_IN, tool, odd, bare)]
    document = pipeline(step("a", "a.b"), step("b", "b.c"), step("c", "o.d"))
    answer = simulated(document, tools=texts, seed=1)
    assert isinstance(output_of(answer, "a")["n"], int)
    assert output_of(answer, "b") == {}
    assert (answer.state, orjson.loads(answer.error)["code"]) == ("FAILED", "VALIDATION_OUTPUT")
    assert list(answer.generated) == ["a", "b", "c"]
    assert list(answer.warnings) == [
        "b.c does not define an output_schema, so its output is {}; add a mock for it",
        "no generated value matches `pattern` of the output_schema of o.d; add a mock for it",
    ]
    assert simulated(document, tools=texts, seed=1) == answer
    assert simulated(document, tools=texts, seed=2) != answer


def test_a_simulated_run_has_its_own_state() -> None:
    """Empty at first, except for what mocks return."""
    name = {"namespace": "n", "key": "k"}
    document = pipeline(
        step("a", "orchestrator.get_state", input={**name, "default": 7}),
        step("b", "orchestrator.put_state", input={**name, "value": 8, "revision": "${steps.a.revision}"}),
        step("c", "orchestrator.get_state", input=name),
        step("d", "orchestrator.put_state", input={**name, "value": 9, "revision": 0}, on_error="continue"),
        step("e", "orchestrator.emit", input={"topic": "a.b"}),
        output=["${steps.a.value}", "${steps.c}", "${steps.d.error.code}"],
    )
    empty = simulated(document)
    assert orjson.loads(empty.output) == [7, {"value": 8, "revision": 1}, "TOOL_ERROR"]
    assert output_of(empty, "e")["event"].startswith("events/")
    full = simulated(document, mock("a", output={"value": 5, "revision": 41}))
    assert orjson.loads(full.output) == [5, {"value": 8, "revision": 42}, "TOOL_ERROR"]


def test_an_event_arrives_only_by_a_mock() -> None:
    """A mock needs only the event's data."""
    waits = step("w", "orchestrator.wait_event", input={"topic": "order.*", "timeout": "7d"})
    heard = simulated(pipeline(waits, output="${steps.w}"), mock("w", output={"data": {"n": 3}}, duration_ms=60_000))
    event = orjson.loads(heard.output)
    assert (event["data"], event["publish_time"]) == ({"n": 3}, "2027-01-15T08:01:00.000000Z")
    for late in ([], [mock("w", output={"data": {}}, duration_ms=8 * 86_400_000)]):
        silent = simulated(pipeline(waits), *late)
        assert (silent.state, orjson.loads(silent.error)["code"]) == ("FAILED", "TIMEOUT")
        assert silent.end_us - NOW_US == 7 * 86_400 * SECOND


def test_an_approval_is_answered_by_a_mock_or_expires() -> None:
    """The default is approval by the first choice; a mock may edit."""
    question = {"message": "Send?", "data": {"to": "x"}, "expires_in": "1h"}
    ask = step("q", "orchestrator.request_approval", input=question)
    document = pipeline(ask, output=["${steps.q.status}", "${steps.q.choice}", "${steps.q.data.to}"])

    def came_to(*mocks: pb.Mock) -> tuple[list[Any], int]:
        answer = simulated(document, *mocks)
        return orjson.loads(answer.output), (answer.end_us - NOW_US) // SECOND

    assert came_to(mock("q", output={}, duration_ms=5000)) == (["approved", "approve", "x"], 5)
    rejected = mock("q", output={"status": "rejected", "choice": "reject"})
    assert came_to(rejected) == (["rejected", "reject", "x"], 0)
    assert came_to(mock("q", output={"edited_input": {"to": "y"}})) == (["approved", "approve", "y"], 0)
    assert came_to() == (["expired", None, "x"], 3600)


VALUES: list[Any] = [None, 5, [], "?"]
ODD = [None, True, 7, -0.5, "x", [], [1], {}, {"x": 1}, *({key: value} for key in KEYS for value in VALUES)]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_invalid_mocked_outputs_fail_the_step(odd: Any) -> None:
    """As the same output of the tool would."""
    state = {"namespace": "n", "key": "k"}
    steps = [
        step("call", WEATHER, input=CITY),
        step("emit", "orchestrator.emit", input={"topic": "a.b"}),
        step("get", "orchestrator.get_state", input=state),
        step("put", "orchestrator.put_state", input={**state, "value": 1}),
        step("event", "orchestrator.wait_event", input={"topic": "a.*", "timeout": "1h"}),
        step("ask", "orchestrator.request_approval", input={"message": "?", "expires_in": "1h"}),
        step("gate", WEATHER, input=CITY, needs_approval={"message": "?", "expires_in": "1h"}),
        step("child", "orchestrator.run_task", input={"task": "t", "wait": True}),
        step("timer", "orchestrator.wait", input={"for": "1h"}),
    ]
    document = pipeline(*({**one, "on_error": "continue"} for one in steps))
    names = [*(str(one["id"]) for one in steps), "gate.approval"]
    answer = simulated(document, *(mock(name, output=odd) for name in names))
    assert (answer.state, len({entry.path for entry in answer.steps}) >= len(steps)) == ("SUCCEEDED", True)
    failure = {"code": "X", "details": {"odd": odd}, "message": str(odd)}
    failed = simulated(document, *(mock(name, error=failure) for name in names))
    assert failed.state == "SUCCEEDED"


def test_a_wait_without_a_result_ends_the_simulation() -> None:
    """The trace ends with the open wait."""
    answer = simulated(pipeline(step("q", "orchestrator.request_approval", input={"message": "Send?"})))
    assert (answer.state, [(wait.path, wait.kind) for wait in answer.waits]) == ("WAITING", [("q", "APPROVAL")])
    assert [(entry.path, entry.state) for entry in answer.unanswered] == [("q", "WAITING")]


def test_branches_share_simulated_time() -> None:
    """The first failure in simulated time cancels the others, in whatever order they were called."""
    slow, fast = step("s", WEATHER, input=CITY), step("f", LIST, input={"start": "x"})
    document = pipeline({"id": "both", "branches": {"one": [slow], "two": [fast]}})
    mocks = [
        mock("both.one.s", output=1, duration_ms=5000),
        mock("both.two.f", error={"code": "TOOL_ERROR", "message": "no"}, duration_ms=1000),
    ]
    answer = simulated(document, *mocks)
    assert steps_of(answer) == [
        ("both.two.f", 1, "FAILED"),
        ("both.one.s", 1, "CANCELLED"),
        ("both", 1, "FAILED"),
    ]
    assert answer.end_us - NOW_US == SECOND


def test_the_run_timeout_applies() -> None:
    """It counts the time of tools, not that of waits."""
    document = pipeline(
        step("a", "orchestrator.wait", input={"for": "1h"}),
        step("b", WEATHER, input=CITY, timeout="10s", retry=0, on_error="continue"),
        step("c", WEATHER, input=CITY),
    )
    answer = simulated(document, mock(tool=WEATHER, output=1, duration_ms=9000), remaining_ms=8000)
    assert (answer.state, orjson.loads(answer.error)["step"]) == ("FAILED", "b")
    assert answer.end_us - NOW_US == 3608 * SECOND


@pytest.mark.parametrize(
    ("bound", "value", "says"),
    [
        ("MAX_ENTRIES", 5, "after 5 attempts"),
        ("MAX_BYTES", 100, "after 100 bytes"),
        ("MAX_SECONDS", -1.0, "of computing"),
    ],
)
def test_a_simulation_has_limits(monkeypatch: pytest.MonkeyPatch, bound: str, value: Any, says: str) -> None:
    """It stops with a warning and keeps its trace."""
    monkeypatch.setattr(simulation if bound == "MAX_SECONDS" else trace, bound, value)
    steps = [step(f"s{number}", WEATHER, input=CITY) for number in range(20)]
    answer = simulated(pipeline(*steps), mock(tool=WEATHER, output="x" * 30))
    assert answer.state == "RUNNING"
    assert says in answer.warnings[0]
    assert len(answer.steps) <= 6


def test_a_simulation_ends_with_the_calendar() -> None:
    """Before the year 9999."""
    ages = [step(f"w{number}", "orchestrator.wait", input={"for": "36500d"}) for number in range(90)]
    answer = simulated(pipeline(*ages))
    assert (answer.state, len(answer.steps)) == ("RUNNING", 79)
    assert "9998" in answer.warnings[0]


def test_child_runs_are_mocked_and_not_started() -> None:
    """By any value, also null; without a mock the child never ends."""
    given = {"task": "tasks/report"}
    free = step("a", "orchestrator.run_task", input=given)
    waits = step("w", "orchestrator.run_task", input={**given, "wait": True})
    document = pipeline(free, waits, output=["${steps.a.run}", "${steps.w}"])
    answer = simulated(document, mock("w", output=7, duration_ms=5000))
    run, output = orjson.loads(answer.output)
    assert (run.startswith("runs/"), output) == (True, 7)
    assert answer.end_us - NOW_US == 5 * SECOND
    again = simulated(document, recorded=[pb.Recorded(entry=entry, now_us=NOW_US) for entry in answer.steps])
    assert orjson.loads(again.output) == [run, 7]
    silent = simulated(document)
    assert (silent.state, [wait.path for wait in silent.waits]) == ("WAITING", ["w"])
    failed = simulated(document, mock("w", error={"code": "TOOL_ERROR", "message": "no"}))
    assert (failed.state, orjson.loads(failed.error)["code"]) == ("FAILED", "TOOL_ERROR")
