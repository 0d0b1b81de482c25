"""Random documents, expressions and templates neither hang nor raise undocumented exceptions.

4 000 cases in the suite, 20 000 with `make test-full`; `ORDINAUT_FUZZ_CASES=1000000` makes it a long run,
`ORDINAUT_FUZZ_SEED` another one.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from types import FrameType
from typing import Any

import orjson
import pytest

from ordinaut.expressions import Account, ExpressionError, compile_expression
from pipeline_engine.data.template import compile_template
from pipeline_engine.language.compile import PlanError, compile_plan
from pipeline_engine.language.findings import Findings
from pipeline_engine.language.parse import parse
from pipeline_engine.validation.context import ValidationContext
from pipeline_engine.validation.pipeline import check
from tests.sample import amount
from tests.unit.engine.corpus import BROKEN, VALID
from tests.unit.engine.pipelines import TOOL_TEXTS, TOOLS

CASES = amount("ORDINAUT_FUZZ_CASES", 4_000, 20_000)
SEED = int(os.environ.get("ORDINAUT_FUZZ_SEED", "1"))
LONGEST_SECONDS = 0.1
HANG_SECONDS = 10.0
TRIES = 3
WORDS = (
    *("steps", "params", "now", "item", "a", "b", "events", "length", "sort_by", "map", "default", "to_json", "hash"),
    *("replace", "split", "join", "keys", "max_by", "format_time", "plus_time", "from_json", "merge", "contains"),
    *(".", "[", "]", "[?", "[]", "[*]", "(", ")", "{", "}", ",", ":", "&", "&&", "||", "!", "==", "<", ">=", "|", "@"),
    *("*", "+", "-", "24h", "1d", "3", "-1", "0", "1e9", "true", "null", "'x'", '"x"', "`[1]`", "`x`", "$", "${", "}"),
    *("=", "and", "or", "'", '"', "`", "\\", "\u0000", "\ud800", "\u0661", " ", "\n", "::", "[1:2]", "steps.a.events"),
)
SHAPES = (
    "steps.{0}[?{1} == {2}]",
    "{0}({1}, {2})",
    "map(&{0}, {1})",
    "{0}[*].{1}[]",
    "{0} && {1} || !{2}",
    "{{x: {0}, y: {1}}}",
    "[{0}, {1}, {2}]",
    "{0} | {1}",
    "sort_by({0}, &{1})",
    "now+{0}",
)
EVENTS = [{"a": n % 7, "b": [n, {"a": str(n)}], "x": "text " * (n % 5)} for n in range(300)]
ROOTS: dict[str, Any] = {
    "steps": {"a": {"events": EVENTS, "b": "x" * 3000}, "b": None},
    "params": {"a": 1, "b": [[EVENTS] * 10] * 10},
    "now": "2026-11-23T10:00:00Z",
    "item": {"a": [1, 2, 3]},
}
SURROUNDINGS = ValidationContext({tool["name"]: tool for tool in TOOLS}, [tool["name"] for tool in TOOLS])


class HangError(Exception):
    """The case has exceeded its CPU time."""


@contextmanager
def watched() -> Iterator[None]:
    """Ends a case that hangs, by CPU time, so that a busy machine does not matter."""

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def shortest(case: Any, attempt: Callable[[Any], None]) -> float:
    """Returns the CPU seconds of a case; a slow one is repeated, because the garbage collector may have run."""
    took = LONGEST_SECONDS
    for _ in range(TRIES):
        began = time.thread_time()
        with watched():
            attempt(case)
        took = min(took, time.thread_time() - began)
        if took < LONGEST_SECONDS:
            break
    return took


def fuzz(name: str, share: float, make: Callable[[Random], Any], attempt: Callable[[Any], None]) -> None:
    """Tries a share of the cases; a failure reports the seed and number of the case."""
    for number in range(int(CASES * share)):
        case = make(Random(f"{SEED}/{name}/{number}"))
        try:
            took = shortest(case, attempt)
        except Exception as failure:
            raise AssertionError(f"{name} {SEED}/{number}: {failure!r} of {case!r:.2000}") from failure
        assert took < LONGEST_SECONDS, f"{name} {SEED}/{number}: {took:.3f} s for {case!r:.2000}"


def reading(random: Random) -> tuple[str, bool]:
    """Returns an expression, and whether a missing path in it is an error."""
    return expression(random), random.random() < 0.5


def expression(random: Random) -> str:
    """Returns random words, or a nearly valid expression."""
    if random.random() < 0.4:
        return "".join(random.choices(WORDS, k=random.randrange(1, 14)))
    return shaped(random, 3)


def shaped(random: Random, depth: int) -> str:
    if depth == 0 or random.random() < 0.3:
        return random.choice(
            ["steps.a.events", "params.b", "item.a", "a", "b", "x", "@", "`[1, 2]`", "'x'", "now", "3"]
        )
    parts = [shaped(random, depth - 1) for _ in range(3)]
    if random.random() < 0.3:
        parts[0] = random.choice(WORDS)
    return random.choice(SHAPES).format(*parts)


def evaluate(case: tuple[str, bool]) -> None:
    """Evaluates an expression on values of some size."""
    text, strict = case
    with suppress(ExpressionError):
        compile_expression.__wrapped__(text, strict=strict).evaluate(ROOTS, Account())


def template(random: Random) -> Any:
    text = random.choice(["", "x ", "$${", "{{"]) + "${" + expression(random) + random.choice(["}", "} y", "", "}}"])
    return random.choice([text, {"k": [text, text]}, {text[:20]: text}])


def render(value: Any) -> None:
    with suppress(ExpressionError):
        compile_template(value).render(ROOTS, Account())


def document(random: Random) -> bytes:
    """Returns a document of the corpus with parts, and sometimes bytes, exchanged."""
    source = random.choice(SOURCES)
    value = orjson.loads(source)
    for _ in range(random.randrange(1, 4)):
        value = exchanged(random, value)
    try:
        text = orjson.dumps(value)
    except TypeError:  # lone surrogates
        text = source
    if random.random() < 0.1:
        place = random.randrange(len(text))
        text = text[:place] + bytes([random.randrange(256)]) + text[place + random.randrange(3) :]
    return text


SOURCES = [orjson.dumps(value) for value in (*BROKEN.values(), *VALID.values())]


def exchanged(random: Random, value: Any) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        if random.random() < 0.1:
            other = random.choice(["id", "uses", "do", "foreach", "branches", "on_error", "if", "with", "steps", "x"])
            return {**value, other: value[key]}
        return {**value, key: exchanged(random, value[key])}
    if isinstance(value, list) and value and random.random() < 0.85:
        place = random.randrange(len(value))
        return [*value[:place], exchanged(random, value[place]), *value[place + random.randrange(2) :]]
    return random.choice(
        [None, True, -1, 0, 2**53, 1e308, "", "a", "${" + expression(random) + "}", expression(random), [], {}, [value]]
    )


def validate(text: bytes) -> None:
    """Validates and compiles a document."""
    findings = Findings()
    found = parse(text, findings)
    if found is not None:
        check(found, SURROUNDINGS, findings)
        orjson.dumps(found.to_json())
    if not findings.violations:
        compile_plan(text, TOOL_TEXTS, (), b"")
    elif found is not None:
        with suppress(PlanError):
            compile_plan(text, TOOL_TEXTS, (), b"")


PARTS: list[tuple[str, float, Callable[[Random], Any], Callable[[Any], None]]] = [
    ("expression", 0.5, reading, evaluate),
    ("template", 0.3, template, render),
    ("document", 0.2, document, validate),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part[0]))
def test_no_random_input_hangs_or_raises_an_undocumented_exception(
    part: tuple[str, float, Callable[[Random], Any], Callable[[Any], None]],
) -> None:
    """Each case takes less than a tenth of a second of CPU time."""
    fuzz(*part)
