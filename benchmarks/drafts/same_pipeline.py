"""Whether two pipelines have the same outcome: the same calls, outputs and errors in simulations on equal answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from benchmarks.drafts.tools import answers, definitions
from gateway.definitions.references import tool_uses
from ordinaut.documents.durations import proto_duration
from ordinaut.internal.v1 import pipeline_engine_service_pb2 as pb
from pipeline_engine.simulation.simulation import simulate

NOW_US = 1_800_001_800_000_000  # 2027-01-15T08:30:00Z
ASK, EVENT, CHILD = "orchestrator.request_approval", "orchestrator.wait_event", "orchestrator.run_task"
PAID = {"id": "o-1", "order": "o-1", "total": 150, "amount": 150, "city": "Oslo", "urgent": True, "status": "failed"}
SAMPLE_EVENT = {"topic": "orders.paid", "source": "shop", "subject": "o-1", "data": PAID}
SLOW_MS = (12_000, 50_000, 400_000, 7_200_000)
SPANS = frozenset({"for", "timeout", "expires_in", "delay"})
JITTER = 0.5  # of retries, by default
RETRY = b'{"max":2,"jitter":0}'


@dataclass(frozen=True)
class Scenario:
    """The answers and params of one simulation; `params` override those of the task."""

    name: str
    mocks: Sequence[pb.Mock] = ()
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """A normalised pipeline with its params and the default retry rule of its task (None: the default)."""

    document: Mapping[str, Any]
    params: Mapping[str, Any]
    retry: Mapping[str, Any] | None = None


def difference(ours: Work, expected: Work, names: Iterable[str]) -> str:
    """The first difference in words; empty if both do the same. `names` are further params that are read."""
    if ours == expected:
        return ""
    tools = sorted(_tools(ours.document) | _tools(expected.document))
    for scenario in _scenarios(tools, {**dict.fromkeys(names), **expected.params}):
        left, right = (_outcome(work, scenario) for work in (ours, expected))
        for mine, other in zip(left, right, strict=True):
            if mine != other:
                return f"pipeline, {scenario.name}: {_short(mine, other)} instead of {_short(other, mine)}"
    return ""


def _short(value: Any, other: Any) -> str:
    """The part of a list that differs."""
    if isinstance(value, list) and isinstance(other, list):
        place = next((n for n, pair in enumerate(zip(value, other, strict=False)) if pair[0] != pair[1]), None)
        value = value[place] if place is not None else f"{len(value)} calls, {value[len(other) :][:1]}"
    return str(value)[:300]


def _tools(document: Any) -> set[str]:
    return {use.tool for use in tool_uses(document)}


def _scenarios(tools: Sequence[str], params: Mapping[str, Any]) -> Iterator[Scenario]:
    approved = _mock(ASK, output={})
    for number in range(3):
        yield Scenario(f"answers {number}", [*_answers(tools, number), approved, *_waits()])
    yield Scenario("rejected", [*_answers(tools, 0), _mock(ASK, output={"status": "rejected", "choice": "reject"})])
    yield Scenario("no answer to waits", _answers(tools, 0))
    for name, value in params.items():
        changed = _other(value)
        yield Scenario(f"{name}={changed}", [*_answers(tools, 0), approved, *_waits()], {name: changed})
    for tool in tools:
        if tool.startswith("orchestrator."):
            continue
        rest = [*_answers(tools, 0), approved, *_waits()]
        for code in ("TOOL_ERROR", "TOOL_UNAVAILABLE"):
            yield Scenario(f"{tool} fails with {code}", [_failure(tool, code), *rest])
        yield Scenario(f"{tool} fails once", [_failure(tool, "TOOL_UNAVAILABLE", times=1), *rest])
    for slow in SLOW_MS:
        mocks = [_mock(tool, output=answers()[tool][0], duration_ms=slow) for tool in tools if tool in answers()]
        yield Scenario(f"calls of {slow // 1000} s", [*mocks, approved, *_waits()])


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 7
        case list():
            return [*value, *value[:1]]
        case dict():
            return {**value, "more": 1}
    return "Porto"


def _mock(tool: str, **values: Any) -> pb.Mock:
    encoded: dict[str, Any] = {
        key: orjson.dumps(value) if key in {"output", "error"} else value for key, value in values.items()
    }
    return pb.Mock(tool=tool, **encoded)


def _failure(tool: str, code: str, times: int = 0) -> pb.Mock:
    return _mock(tool, error={"code": code, "message": "down"}, times=times)


def _answers(tools: Sequence[str], number: int) -> list[pb.Mock]:
    """Each tool answers in turn, beginning with the answer `number`, and from then on as the first time."""
    mocks = []
    for tool in tools:
        outputs = answers().get(tool, ())
        turn = [outputs[(number + place) % len(outputs)] for place in range(len(outputs))]
        mocks += [_mock(tool, output=output, times=1) for output in turn]
        mocks += [_mock(tool, output=output) for output in turn[:1]]
    return mocks


def _waits() -> list[pb.Mock]:
    event = {"topic": "orders.paid", "data": PAID}
    return [_mock(EVENT, output=event, duration_ms=5000), _mock(CHILD, output={"city": "Oslo", "run": "runs/r"})]


def _outcome(work: Work, scenario: Scenario) -> tuple[str, Any, Any, list[Any]]:
    """State, output, error code, and the calls by start time."""
    start = pb.RunStart(
        root="drafts",
        params=orjson.dumps({**work.params, **scenario.params}),
        event=orjson.dumps(SAMPLE_EVENT),
        run=b'{"name":"runs/r","task":"tasks/t","kind":"SCHEDULED","trigger":"t0","occurrence":"20270115T083000Z"}',
        now_us=NOW_US,
        remaining_ms=86_400_000,
    )
    used = _tools(work.document)
    definition = pb.Definition(
        pipeline=orjson.dumps(_without_jitter(work.document)),
        tools=[text for name, text in definitions().items() if name in used],
        retry=orjson.dumps({**work.retry, "jitter": 0}) if work.retry else RETRY,
        secrets=["api_token", "token", "password"],
    )
    answer = simulate(pb.SimulateRunRequest(definition=definition, start=start, mocks=scenario.mocks))
    output = orjson.loads(answer.output) if answer.output else None
    code = orjson.loads(answer.error).get("code") if answer.error else None
    return (
        answer.state,
        code,
        sorted(map(_call, filter(_is_call, [*answer.steps, *answer.unanswered])), key=repr),
        [output],
    )


def _is_call(entry: pb.JournalEntry) -> bool:
    """Whether a step acts: `orchestrator.set` only names a value, and another form of a pipeline may do without it."""
    return entry.state != "SKIPPED" and entry.tool not in {"", "orchestrator.set"}


def _call(entry: pb.JournalEntry) -> tuple[Any, ...]:
    """Start in seconds, tool, input, attempt, state, output, error code; durations of built-in tools in seconds."""
    value = [orjson.loads(text) if text else None for text in (entry.input, entry.output, entry.error)]
    if entry.tool.startswith("orchestrator.") and isinstance(value[0], dict):
        value[0] = {key: _in_seconds(item) if key in SPANS else item for key, item in value[0].items()}
    code = value[2].get("code") if isinstance(value[2], dict) else None
    started = (entry.start_us - NOW_US) // 1_000_000
    return started, entry.tool, value[0], entry.attempt, entry.state, value[1], code


def _in_seconds(value: Any) -> Any:
    return proto_duration(value) or value if isinstance(value, str) else value


def _without_jitter(value: Any) -> Any:
    """With the default jitter, delays of retries depend on the names of steps; it is left out."""
    if isinstance(value, list):
        return [_without_jitter(item) for item in value]
    if not isinstance(value, dict):
        return value
    copy = {key: item if key == "with" else _without_jitter(item) for key, item in value.items()}
    if "uses" in copy and "retry" in copy:
        rule = copy["retry"] if isinstance(copy["retry"], dict) else {"max": copy["retry"]}
        copy["retry"] = {**rule, "jitter": 0} if rule.get("jitter", JITTER) == JITTER else rule
    return copy
