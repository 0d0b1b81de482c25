"""The contract as a document: complete, true to what is served, and readable without a network."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import jsonschema
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.rest.openapi.examples import EXAMPLES
from gateway.rest.openapi.paths import readable
from gateway.rest.transcoding.routes import Route, RouteTable
from gateway.services import DESCRIPTORS
from tests.integration.conftest import fresh_database
from tests.integration.support.rest_system import TASK, Answer, RestSystem, rest_system
from tests.patience import PATIENCE
from tests.sample import amount

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TRIES = amount("ORDINAUT_SCHEMATHESIS_TRIES", 2, 4)  # for each operation, of each kind
ROUTES = RouteTable(DESCRIPTORS).routes
ELSEWHERE = re.compile(r"(?:src|href)=\"(?!/)|url\((?!data:)|https?://(?!www\.w3\.org/)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rest(postgres_url: str) -> AsyncIterator[RestSystem]:
    async with fresh_database(postgres_url) as url, rest_system(url) as started:
        await started.call("POST", "/v1/tasks?task_id=one", TASK)
        await started.call("PUT", "/v1/state/notes/one", {"value": 1})
        yield started


async def contract(rest: RestSystem) -> Any:
    return (await rest.call("GET", "/openapi.json", token="")).json


async def test_every_route_is_described(rest: RestSystem) -> None:
    """With a summary, its answer, its failures, and a description for each parameter and property."""
    document = await contract(rest)
    assert document["openapi"] == "3.1.0"
    told = {(path, verb.upper()): item for path, item_ in document["paths"].items() for verb, item in item_.items()}
    assert set(told) == {(readable(route.template)[0], route.verb) for route in ROUTES}
    for operation in told.values():
        assert operation["summary"], operation
        assert {"200", "401", "default"} <= set(operation["responses"])
        assert operation["tags"]
    names = [operation["operationId"] for operation in told.values()]
    assert len(set(names)) == len(names)
    for name, schema in document["components"]["schemas"].items():
        for key, field in schema.get("properties", {}).items():
            assert field.get("description") or name in {"Error", "ErrorDetail"}, f"{name}.{key}"


async def test_schemas_are_valid(rest: RestSystem) -> None:
    for name, schema in (await contract(rest))["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema.get("description"), name


async def test_references_are_resolvable(rest: RestSystem) -> None:
    document = await contract(rest)
    for reference in set(re.findall(r'"\$ref": ?"#/([^"]+)"', (await rest.call("GET", "/openapi.json")).text)):
        found = document
        for step in reference.split("/"):
            found = found[step]
        assert found


async def test_the_pages_load_nothing_from_other_hosts(rest: RestSystem) -> None:
    """Whatever the page loads comes from the gateway; its policy forbids everything else."""
    page = await rest.call("GET", "/docs", token="")
    assert page.status == 200
    assert not ELSEWHERE.search(page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.text)
    assert {"/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/docs.js"} <= set(loaded)
    for path in loaded:
        answer = await rest.call("GET", path, token="")
        assert (answer.status, bool(answer.text)) == (200, True), path
        if "swagger" not in path:
            assert not ELSEWHERE.search(answer.text), path
    assert (await rest.call("GET", "/docs/../gateway.py")).status == 404


async def test_the_pipeline_language_is_published(rest: RestSystem) -> None:
    """Without a token, as JSON Schema; the examples are of the language."""
    answer = await rest.call("GET", "/v1/pipeline.schema.json", token="")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/schema+json")
    language = jsonschema.Draft202012Validator(answer.json)
    for example in EXAMPLES["CreateTask"].values():
        language.validate(example["pipeline"])
    assert not language.is_valid({"steps": [{"id": "a"}]})


async def test_the_schema_of_a_task_is_published(rest: RestSystem) -> None:
    """Without a token; the examples fit, and members that the server sets are not in it."""
    answer = await rest.call("GET", "/v1/task.schema.json", token="")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/schema+json")
    jsonschema.Draft202012Validator.check_schema(answer.json)
    tasks = jsonschema.Draft202012Validator(answer.json)
    for example in EXAMPLES["CreateTask"].values():
        tasks.validate(example)
    assert not tasks.is_valid({"pipeline": {"steps": [{"id": "a"}]}})
    assert not tasks.is_valid({**example, "uid": "x"})


async def test_examples_work(rest: RestSystem) -> None:
    """Every body on the page does what it promises."""
    by_name = {route.method.name: route for route in ROUTES}
    assert set(EXAMPLES) <= set(by_name)
    run = (await rest.call("POST", "/v1/tasks/one:run")).json["name"].removeprefix("runs/")
    words = {"task": "one", "run": run, "namespace": "notes", "key": "one", "agent": "fresh", "tool": "fresh.tool"}
    for name in sorted(EXAMPLES):
        for number, (title, body) in enumerate(EXAMPLES[name].items()):
            answer = await send_example(rest, by_name[name], words, f"fresh{number or ''}", body)
            assert answer.status == 200, (name, title, answer.text)


async def send_example(rest: RestSystem, route: Route, words: dict[str, str], new: str, body: Any) -> Answer:
    """Calls a route with the resources that there are, and a new id where one is made."""
    path, parameters = readable(route.template)
    for parameter in parameters:
        path = path.replace(f"{{{parameter}}}", words[parameter])
    chosen = next((name for name in ("task_id", "tool_id", "agent_id") if name in route.request.fields_by_name), "")
    new = f"{new}.tool" if chosen == "tool_id" else new
    return await rest.call(route.verb, f"{path}?{chosen}={new}" if chosen else path, body)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_the_api_conforms_to_its_openapi_document(rest: RestSystem, mode: GenerationMode) -> None:
    """Requests made from the document, right and wrong ones, get answers that the document describes."""
    schema = schemathesis.openapi.from_dict(await contract(rest))
    streams = {readable(route.template)[0] for route in ROUTES if route.method.server_streaming}
    operations: list[Any] = [found.ok() for found in cast("Any", schema.get_all_operations())]
    chosen = [operation for operation in operations if operation.path not in streams]
    assert len(chosen) > 20
    for operation in chosen:
        await asyncio.to_thread(exercise, rest, operation, mode)


def exercise(rest: RestSystem, operation: Any, mode: GenerationMode) -> None:
    """Some calls of one operation."""
    headers = {"authorization": f"Bearer {rest.grpc.admin.token}"}

    @settings(
        max_examples=TRIES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        case.call_and_validate(base_url=rest.base, headers=headers, checks=CHECKS, timeout=PATIENCE)

    call()


async def test_the_page_does_not_keep_the_token(rest: RestSystem) -> None:
    """Swagger UI would store it in the browser in plain text."""
    assert "persistAuthorization: false" in (await rest.call("GET", "/docs/docs.js")).text


async def test_bodies_of_patches_require_no_field(rest: RestSystem) -> None:
    document = (await rest.call("GET", "/openapi.json")).json
    patches = [path["patch"] for path in document["paths"].values() if "patch" in path]
    assert patches
    for operation in patches:
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        assert "required" not in document["components"]["schemas"][reference.rpartition("/")[2]]


async def test_integers_of_64_bits_have_examples(rest: RestSystem) -> None:
    schemas = (await rest.call("GET", "/openapi.json")).json["components"]["schemas"]
    longs = [
        field
        for schema in schemas.values()
        for field in schema.get("properties", {}).values()
        if field.get("format") == "int64"
    ]
    assert longs
    assert all(field["examples"] == ["42"] for field in longs)
