"""Path templates: what fits, what each variable gets, and how they are written for people."""

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rest.errors import HttpError
from gateway.rest.openapi.paths import readable
from gateway.rest.transcoding.path_template import PathTemplate
from gateway.rest.transcoding.routes import RouteTable
from gateway.services import DESCRIPTORS
from ordinaut.errors import InvalidArgumentError

TABLE = RouteTable(DESCRIPTORS)


def values(template: str, path: str) -> dict[str, str] | None:
    parsed = PathTemplate.parse(template)
    match = parsed.match(path)
    return parsed.values(match) if match else None


@pytest.mark.parametrize(
    ("template", "path", "found"),
    [
        ("/v1/tasks", "/v1/tasks", {}),
        ("/v1/tasks", "/v1/tasks/", None),
        ("/v1/{name=tasks/*}", "/v1/tasks/a", {"name": "tasks/a"}),
        ("/v1/{name=tasks/*}", "/v1/tasks/a%20b", {"name": "tasks/a b"}),
        ("/v1/{name=tasks/*}", "/v1/tasks/a%2Fb", {"name": "tasks/a/b"}),
        ("/v1/{name=tasks/*}", "/v1/tasks/", None),
        ("/v1/{name=tasks/*}", "/v1/tasks/a/b", None),
        ("/v1/{name=tasks/*}", "/v1/tasks/a:run", None),
        ("/v1/{name=tasks/*}:run", "/v1/tasks/a:run", {"name": "tasks/a"}),
        ("/v1/{name=tasks/*}:run", "/v1/tasks/a:running", None),
        ("/v1/{entry.name=state/*/**}", "/v1/state/a/b/c:d", {"entry.name": "state/a/b/c:d"}),
        ("/v1/{entry.name=state/*/**}", "/v1/state/a/b%2fc", {"entry.name": "state/a/b/c"}),
        ("/v1/{entry.name=state/*/**}", "/v1/state/a//b", None),
        ("/v1/{a}/{b=x/*}", "/v1/1/x/2", {"a": "1", "b": "x/2"}),
        ("/v1/a.b", "/v1/axb", None),
    ],
)
def test_paths_that_match(template: str, path: str, found: dict[str, str] | None) -> None:
    assert values(template, path) == found


@given(word=st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable() or "\n" in text))
def test_escaped_values_are_decoded(word: str) -> None:
    """Any text can be a name; whether it may be one is the gateway's to say."""
    try:
        escaped = quote(word, safe="")
    except UnicodeEncodeError:  # a lone surrogate cannot be sent
        return
    assert values("/v1/{name=tasks/*}:run", f"/v1/tasks/{escaped}:run") == {"name": f"tasks/{word}"}


@pytest.mark.parametrize(
    "path", ["/v1/tasks/%", "/v1/tasks/%4", "/v1/tasks/%zz", "/v1/tasks/%ff", "/v1/tasks/%ed%a0%80"]
)
def test_values_that_are_not_text(path: str) -> None:
    with pytest.raises(InvalidArgumentError):
        values("/v1/{name=tasks/*}", path)


def test_each_path_has_one_method() -> None:
    """Every route is found by a path that is made from it."""
    for route in TABLE.routes:
        path = re.sub(r"\{[a-z_.]+=([^}]+)\}", lambda found: found[1], route.template.text)
        path = path.replace("**", "x").replace("*", "x")
        found, _ = TABLE.find(route.verb, path)
        assert found is route


def test_a_path_with_other_methods_lists_them() -> None:
    with pytest.raises(HttpError) as refused:
        TABLE.find("PUT", "/v1/tasks/a")
    assert (refused.value.status, refused.value.headers["allow"]) == (405, "DELETE, GET, PATCH")


@pytest.mark.parametrize(
    ("template", "written"),
    [
        ("/v1/{name=tasks/*}:run", ("/v1/tasks/{task}:run", ["task"])),
        ("/v1/{name=agents/*/tokens/*}:revoke", ("/v1/agents/{agent}/tokens/{token}:revoke", ["agent", "token"])),
        ("/v1/{entry.name=state/*/**}", ("/v1/state/{namespace}/{key}", ["namespace", "key"])),
        ("/v1/{parent=state/*}", ("/v1/state/{namespace}", ["namespace"])),
        ("/v1/{name=others/*}", ("/v1/others/{name}", ["name"])),
    ],
)
def test_paths_in_openapi(template: str, written: tuple[str, list[str]]) -> None:
    assert readable(PathTemplate.parse(template)) == written
