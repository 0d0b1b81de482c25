"""PATCH changes what the body names, and nothing else (RFC 7396)."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.conftest import fresh_database
from tests.integration.support.rest_system import TASK, RestSystem, rest_system

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAMES = map("patched-{}".format, itertools.count())

WHOLE: dict[str, Any] = {
    **TASK,
    "display_name": "One",
    "description": "first",
    "labels": {"team": "mail", "tier.one": "a"},
    "schedule": {
        "triggers": [{"id": "daily", "cron": "0 9 * * *"}, {"id": "quick", "interval": "3600s"}],
        "time_zone": "Europe/Berlin",
        "end_time": "2190-01-01T00:00:00Z",
        "exclusions": [{"date": "2099-12-25"}],
        "jitter": "60s",
        "dst": {"gap": "SHIFT", "overlap": "LAST"},
        "catch_up": {"policy": "ALL", "max": 5},
    },
    "run_policy": {
        "overlap": {"policy": "BUFFER_ALL", "max_buffer": 7},
        "priority": 3,
        "run_timeout": "60s",
        "retry": {"max": 4, "delay": "2s", "codes": ["TIMEOUT"]},
        "expect_success_every": "7200s",
    },
    "params": {"a": 1, "deep": {"x": 1, "y": [1, 2]}},
    "params_schema": {"type": "object", "properties": {"a": {"type": "number"}}},
}
WRITABLE = [key for key in WHOLE if key != "name"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(postgres_url: str) -> AsyncIterator[RestSystem]:
    async with fresh_database(postgres_url) as url, rest_system(url) as started:
        yield started


async def created(rest: RestSystem) -> dict[str, Any]:
    answer = await rest.call("POST", f"/v1/tasks?task_id={next(NAMES)}", WHOLE)
    assert answer.status == 200, answer.text
    return dict(answer.json)


def merge_patch(target: Any, patch: Any) -> Any:
    """The algorithm as RFC 7396 §2 writes it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


PATCHES: list[dict[str, Any]] = [
    {"schedule": {"time_zone": "Asia/Tokyo"}},
    {"schedule": {"jitter": None, "catch_up": {"max": 6}}},
    {"schedule": {"dst": {"gap": "SKIP"}, "end_time": None}},
    {"schedule": {"exclusions": [{"date": "2099-01-01"}, {"date": "2099-01-02"}]}},
    {"schedule": {"exclusions": None}},
    {"schedule": {}},
    {"run_policy": {"priority": 4}},
    {"run_policy": {"overlap": {"max_buffer": 9}, "retry": {"delay": "5s", "codes": ["TOOL_ERROR"]}}},
    {"run_policy": {"retry": None, "expect_success_every": None}},
    {"run_policy": {"overlap": None, "priority": 1}, "labels": {"team": None}},
    {"labels": {"tier.one": None, "new": "b"}},
    {"labels": {}},
    {"params": {"a": 2}},
    {"params": {"deep": {"x": None, "z": {"q": 1}}, "b": [None, {"c": None}]}},
    {"params": {"deep": None}, "params_schema": {"properties": {"b": {"type": "array"}}}},
    {"params_schema": None, "description": None},
    {"pipeline": {"output": {"x": 1}}},
    {},
]


@pytest.mark.parametrize("patch", PATCHES, ids=str)
async def test_a_patch_is_merged(rest: RestSystem, patch: dict[str, Any]) -> None:
    """Every field of the task is what RFC 7396 says."""
    before = await created(rest)
    answer = await rest.call("PATCH", f"/v1/{before['name']}", patch)
    assert answer.status == 200, answer.text
    assert written(answer.json) == written(merge_patch(before, patch))


def written(task: dict[str, Any]) -> dict[str, Any]:
    """The writable fields that are not empty."""
    return {key: task[key] for key in WRITABLE if task.get(key)}


async def test_lists_are_replaced_and_anchors_kept(rest: RestSystem) -> None:
    """The triggers of a body are all triggers; those that are equal keep their anchors."""
    before = await created(rest)
    triggers = [{"cron": "0 8 * * *"}, {"id": "quick", "interval": "1h"}]
    answer = await rest.call("PATCH", f"/v1/{before['name']}", {"schedule": {"triggers": triggers}})
    assert answer.json["schedule"]["triggers"][1] == before["schedule"]["triggers"][1]
    assert [trigger["id"] for trigger in answer.json["schedule"]["triggers"]] == ["t0", "quick"]
    assert answer.json["schedule"]["time_zone"] == "Europe/Berlin"


@pytest.mark.parametrize(
    "patch", [{"schedule": None}, {"schedule": {"triggers": []}}, {"schedule": {"triggers": None}}], ids=str
)
async def test_a_task_that_nothing_starts_any_more_is_a_warning(rest: RestSystem, patch: dict[str, Any]) -> None:
    before = await created(rest)
    answer = await rest.call("PATCH", f"/v1/{before['name']}", patch)
    assert answer.status == 200, answer.text
    assert [warning for warning in answer.json["warnings"] if "no triggers any more" in warning]
    again = await rest.call("PATCH", f"/v1/{before['name']}", patch)
    assert not again.json.get("warnings")


async def test_an_explicit_mask_replaces(rest: RestSystem) -> None:
    """Also a whole message, a map and free JSON, and `*` everything."""
    before = await created(rest)
    path = f"/v1/{before['name']}"
    body = {"params": {"n": None}, "run_policy": {"priority": 2}}
    answer = await rest.call("PATCH", f"{path}?update_mask=params,run_policy,labels.%60tier.one%60", body)
    assert answer.status == 200, answer.text
    assert (answer.json["params"], answer.json["run_policy"]) == ({"n": None}, {"priority": 2})
    assert answer.json["labels"] == {"team": "mail"}
    answer = await rest.call("PATCH", f"{path}?update_mask=*", {"pipeline": before["pipeline"]})
    assert answer.status == 200, answer.text
    assert not {"labels", "display_name"} & set(answer.json)
    for mask in ("schedule.triggers.cron", "labels.a.b", "params.", "run_policy.retry.delay.seconds"):
        refused = await rest.call("PATCH", f"{path}?update_mask={mask}", {})
        assert (refused.status, refused.reason) == (400, "FIELD_MASK_INVALID"), mask


async def test_patches_are_refused_with_unknown_leaves_and_stale_etags(rest: RestSystem) -> None:
    before = await created(rest)
    path = f"/v1/{before['name']}"
    refused = await rest.call("PATCH", path, {"schedule": {"time_zon": "UTC"}, "run_policy": {"overlap": {"x": 1}}})
    assert set(refused.violations) == {"task.schedule.time_zon", "task.run_policy.overlap.x"}
    refused = await rest.call("PATCH", path, {"labels": {"x": "1"}}, headers={"if-match": '"9"'})
    assert (refused.status, refused.reason) == (412, "ETAG_MISMATCH")
    answer = await rest.call("PATCH", path, {"labels": {"x": "1"}}, headers={"if-match": before["etag"]})
    assert answer.json["labels"] == {**WHOLE["labels"], "x": "1"}
    assert answer.json["etag"] != before["etag"]
    same = await rest.call("PATCH", path, {"labels": {"x": "1"}, "schedule": WHOLE["schedule"]})
    assert (same.json["etag"], same.json["version"]) == (answer.json["etag"], "1")


async def test_tools_and_agents_are_merged_as_well(rest: RestSystem) -> None:
    tool = {
        "description": "x",
        "http": {"url": "http://127.0.0.1:1/x", "headers": {"A": "1", "B": "2"}, "auth": {"bearer": {"secret": "key"}}},
        "timeouts": {"run": "5s"},
        "input_schema": {"type": "object", "properties": {"a": {}}},
    }
    made = await rest.call("POST", "/v1/tools?tool_id=patched.tool", tool)
    assert made.status == 200, made.text
    patch = {"http": {"headers": {"A": None}, "auth": {"bearer": None, "header": {"name": "X-Key", "secret": "key"}}}}
    answer = await rest.call("PATCH", "/v1/tools/patched.tool", patch)
    assert answer.status == 200, answer.text
    assert answer.json["http"] == {
        "url": "http://127.0.0.1:1/x",
        "headers": {"B": "2"},
        "auth": {"header": {"name": "X-Key", "secret": "key"}},
    } | {key: value for key, value in made.json["http"].items() if key not in ("url", "headers", "auth")}
    assert answer.json["timeouts"] == {"run": "5s"}
    assert answer.json["input_schema"] == tool["input_schema"]
    agent = {"display_name": "One", "scopes": ["tasks:read"]}
    assert (await rest.call("POST", "/v1/agents?agent_id=patched", agent)).status == 200
    answer = await rest.call("PATCH", "/v1/agents/patched", {"display_name": "Two"})
    assert (answer.json["display_name"], answer.json["scopes"]) == ("Two", ["tasks:read"])
