"""Every fix that is offered is right for exactly the body that was sent; random mistakes in requests of all methods."""

import os
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.conftest import fresh_database
from tests.integration.fixes.mutations import mutated
from tests.integration.fixes.property import Outcome, broken_promises
from tests.integration.fixes.requests import METHODS, PARAMS, PIPELINE, SCHEDULE, TASK, Method
from tests.integration.fixes.senders import send_cli, send_grpc, send_json, send_yaml
from tests.integration.support.rest_system import RestSystem, rest_system
from tests.sample import amount
from tests.unit.engine.corpus import BROKEN
from tests.unit.engine.pipelines import CALENDAR, WEATHER

pytestmark = pytest.mark.asyncio(loop_scope="module")
SEED = int(os.environ.get("ORDINAUT_FIX_SEED", "20261130"))
CASES = amount("ORDINAUT_FIX_CASES", sample=130, whole=1300)
TYPED = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1}, "city": {"type": "string"},
        "mode": {"enum": ["fast", "slow"]}, "flags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["n"], "additionalProperties": False,
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(postgres_url: str) -> AsyncIterator[RestSystem]:
    async with fresh_database(postgres_url) as url, rest_system(url) as started:
        for tool in (CALENDAR, WEATHER):
            answer = await started.call("POST", "/v1/tools", {**tool, "name": f"tools/{tool['name']}"})
            assert answer.status == 200, answer.text
        for name, more in (
            ("stored", {"pipeline": PIPELINE, "params": PARAMS, "schedule": SCHEDULE}),
            ("typed", {"pipeline": {"steps": PIPELINE["steps"][:1]}, "params_schema": TYPED, "params": {"n": 1}}),
        ):
            answer = await started.call("POST", f"/v1/tasks?task_id={name}", more)
            assert answer.status == 200, answer.text
        yield started


def in_message(method: Method, body: Any) -> Any:
    return {method.wrapper: body} if method.wrapper else body


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_fixes_of_random_mistakes(rest: RestSystem, method: Method) -> None:
    found, refused, fixed = [], 0, 0
    for number in range(CASES // len(METHODS)):
        random = Random(f"{SEED} {method.name} {number}")
        body, transport = mutated(method.body, random), random.choice((send_json, send_json, send_yaml, send_grpc))

        async def send(changed: Any, transport: Any = transport) -> Outcome:
            if transport is send_grpc:
                return await send_grpc(rest, method, changed) or Outcome([("", "", "unreadable")], [])
            answer: Outcome = await transport(rest, method, changed)
            return answer

        sent = in_message(method, body) if transport is send_grpc else body
        outcome, broken = await broken_promises(sent, send)
        refused, fixed = refused + bool(outcome.problems), fixed + bool(outcome.fixes)
        found += [f"{number} {transport.__name__}: {text}" for text in broken]
    print(f"{method.name}: {refused} refused, {fixed} with fixes")
    assert not found, "\n".join(found)


async def test_fixes_of_random_mistakes_in_files(rest: RestSystem) -> None:
    """The command line, whose fixes address the document of the file."""
    found, fixed = [], 0
    for number in range(CASES // len(METHODS)):
        body = {"name": "tasks/news", **mutated(TASK, Random(f"{SEED} file {number}"))}

        async def send(changed: Any) -> Outcome:
            return await send_cli(rest, changed)

        outcome, broken = await broken_promises(body, send)
        fixed += bool(outcome.fixes)
        found += [f"{number}: {text}" for text in broken]
    print(f"task apply: {fixed} with fixes")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", BROKEN)
async def test_fixes_of_broken_pipelines(rest: RestSystem, name: str) -> None:
    """The corpus of broken documents, over REST."""
    validate = METHODS[0]

    async def send(changed: Any) -> Outcome:
        return await send_json(rest, validate, changed)

    outcome, broken = await broken_promises({"pipeline": BROKEN[name], "params": {"city": "x"}}, send)
    assert outcome.problems
    assert not broken, "\n".join(broken)
