"""Secret values are sent to tools only; rendered, recorded and reported data has their names."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from ordinaut.names import secret_names
from pipeline_engine.data.failure import Failure
from pipeline_engine.data.payload import PayloadError
from pipeline_engine.interpreter.requests import Call, Output
from pipeline_engine.language.compile import compile_plan
from pipeline_engine.language.secret_places import SecretPlace, SecretUse, conceal
from pipeline_engine.tools.definition import HttpAuth, Kind, Tool
from pipeline_engine.tools.mask import Mask
from pipeline_engine.tools.secret_files import SecretError, SecretFiles
from pipeline_engine.tools.secret_use import MAX_IN_ONE_TEXT, fill_secrets
from tests.unit.engine.pipelines import TOOL_TEXTS, checked, pipeline, step
from tests.unit.engine.world import World

LIST = "calendar.list_events"
KEY, PASSWORD = "k3y-of-the-house", 'pa"ss/wörd +1'
VALUES = {"mail_key": KEY, "password": PASSWORD}


def problems(document: Any) -> list[tuple[str, str]]:
    return [(found.field, found.message) for found in checked(document).violations]


@pytest.mark.parametrize("text", ["${secrets.mail_key}", "${ secrets.mail_key }", "Token ${secrets.mail_key}: ${now}"])
def test_secrets_are_allowed_in_the_input_of_called_tools(text: str) -> None:
    """As whole strings and inside them, at any depth."""
    assert problems(pipeline(step("a", "weather.forecast", input={"city": "x", "deep": [{"t": text}]}))) == []


@pytest.mark.parametrize(
    "document",
    [
        pipeline(step("a", "orchestrator.put_state", input={"namespace": "n", "key": "k", "value": "${secrets.key}"})),
        pipeline(step("a", input={"x": "${secrets.key}"})),
        pipeline(step("a", LIST, input={"start": "x"}, condition="secrets.key == 'x'")),
        pipeline(step("a", LIST, input={"start": "${item}"}, foreach="[secrets.key]")),
        pipeline(step("a", LIST, input={"start": "${upper(secrets.key)}"})),
        pipeline(step("a", LIST, input={"start": "${secrets}"})),
        pipeline(step("a", LIST, input={"start": "${secrets.Key}"})),
        pipeline(step("a", LIST, input={"start": "${secrets.a.b}"})),
        pipeline(step("a", LIST, input={"start": "x"}), output="${secrets.key}"),
        pipeline(step("a", LIST, input={"start": "x"}, needs_approval={"message": "${secrets.key}"})),
    ],
)
def test_secrets_are_allowed_nowhere_else(document: Any) -> None:
    """Neither in anything that is stored nor in expressions."""
    [(_, message)] = problems(document)
    assert message.startswith("a secret can only be referenced as a whole, `${secrets.NAME}`")


def test_records_contain_the_names_of_secrets() -> None:
    """The call has the places of secrets; data that looks like a reference is data."""
    given = {"start": "${params.x}", "labels": ["${secrets.mail_key}", "to ${params.x} by ${secrets.mail_key}"]}
    run = World(pipeline(step("a", LIST, input=given)), params={"x": "${secrets.other}"})
    assert run.run().state == "SUCCEEDED"
    marked = "${secrets.mail_key}"
    value = {"start": "${secrets.other}", "labels": [marked, f"to ${{secrets.other}} by {marked}"]}
    assert orjson.loads(run.journal[0].input) == run.calls[0].input == value
    use = run.calls[0].secrets
    assert use is not None
    assert [place.path for place in use.places] == [("labels", 0), ("labels", 1)]
    assert use.refused == {"mail_key"}, "nothing is granted by itself"


def test_only_granted_secrets_are_used() -> None:
    """The worker sends the secrets that the owner may use; a tool's own secret is used in each of its calls."""
    document = orjson.dumps(pipeline(step("a", LIST, input={"start": "${secrets.mail_key} ${secrets.password}"})))
    plan = compile_plan(document, TOOL_TEXTS, (), b"", project="p", secrets=["mail_key"])
    place = SecretPlace(("start",), frozenset(VALUES))
    assert plan.steps[0].secrets == SecretUse("p", (place,), frozenset({"password"}))
    http = {"url": "http://h/", "auth": {"bearer": {"secret": "mail_key"}}}
    tool = orjson.dumps({"name": "t", "http": http})
    plan = compile_plan(orjson.dumps(pipeline(step("a", "t"))), [tool], (), b"", project="p")
    assert plan.steps[0].secrets == SecretUse("p")


def test_an_escaped_reference_is_text() -> None:
    assert conceal({"a": "$${secrets.x}", "b": 1, "c": [None, "${now}"]}) == (
        {"a": "$${secrets.x}", "b": 1, "c": [None, "${now}"]},
        (),
    )
    assert secret_names("${secrets.b} ${secrets.a}${ secrets.a } ${secret.c} ${secrets.D} $${secrets.e}") == ["a", "b"]


def call(value: Any) -> Call:
    return Call(Tool("t", Kind.HTTP), value, orjson.dumps(value), "k", 1.0, "a", 1)


def look(project: str, name: str) -> str:
    if project != "p" or name not in VALUES:
        raise SecretError(name, "does not exist")
    return VALUES[name]


def test_references_are_filled_only_at_their_places() -> None:
    """Data that looks like a reference stays, and a secret's value is not scanned for references."""
    use = SecretUse("p", (SecretPlace(("a", 1), frozenset({"mail_key"})), SecretPlace(("gone",), frozenset(VALUES))))
    opened = fill_secrets(call({"a": ["${secrets.mail_key}", "x ${secrets.mail_key}"], "b": 1}), use, None, look)
    assert opened.call.input == {"a": ["${secrets.mail_key}", f"x {KEY}"], "b": 1}
    assert orjson.loads(opened.call.body) == opened.call.input
    crafty = {"mail_key": "${secrets.password}"}
    whole = SecretUse("p", (SecretPlace(("a",), frozenset({"mail_key", "password"})),))
    told = fill_secrets(call({"a": "${secrets.mail_key}"}), whole, None, lambda _p, name: {**VALUES, **crafty}[name])
    assert told.call.input == {"a": "${secrets.password}"}


def test_the_number_of_filled_references_is_limited() -> None:
    """Data may look like thousands of references."""
    use = SecretUse("p", (SecretPlace(("a",), frozenset({"mail_key"})),))
    opened = fill_secrets(call({"a": "${secrets.mail_key}" * 500}), use, None, look)
    assert opened.call.input["a"].count(KEY) == MAX_IN_ONE_TEXT
    with pytest.raises(PayloadError):
        fill_secrets(call({"a": "${secrets.mail_key}", "b": "x" * 1024 * 1024}), use, None, look)


@pytest.mark.parametrize(
    ("auth", "headers"),
    [
        (HttpAuth("bearer", "mail_key"), {"Authorization": f"Bearer {KEY}"}),
        (HttpAuth("basic", "password", user="ann"), {"Authorization": "Basic YW5uOnBhInNzL3fDtnJkICsx"}),
        (HttpAuth("header", "mail_key", "X-Key"), {"X-Key": KEY}),
    ],
)
def test_the_auth_of_a_tool_sets_the_headers(auth: HttpAuth, headers: dict[str, str]) -> None:
    opened = fill_secrets(call({}), SecretUse("p"), auth, look)
    assert opened.headers == headers
    [sent] = headers.values()
    masked = opened.mask.text(f"got {sent}")
    assert masked.endswith(f"[secret {auth.secret}]")


@pytest.mark.parametrize(
    ("use", "auth", "words"),
    [
        (SecretUse("p", (SecretPlace(("a",), frozenset({"none"})),)), None, "the secret none does not exist"),
        (SecretUse("other", (), frozenset()), HttpAuth("bearer", "mail_key"), "the secret mail_key does not exist"),
        (SecretUse("p", (), frozenset({"mail_key"})), None, "the secret mail_key may not be used by the task's owner"),
        (SecretUse("p"), HttpAuth("bearer", "password"), "the secret password must be printable ASCII"),
    ],
)
def test_an_unusable_secret_is_reported_without_its_value(use: SecretUse, auth: HttpAuth | None, words: str) -> None:
    with pytest.raises(SecretError) as refused:
        fill_secrets(call({"a": "${secrets.none}"}), use, auth, look)
    assert words in str(refused.value)
    assert PASSWORD not in str(refused.value)


FORMS = [
    PASSWORD,
    orjson.dumps(PASSWORD).decode(),
    'pa\\"ss/w\\u00f6rd +1',
    "pa%22ss%2Fw%C3%B6rd+%2B1",
    "cGEic3Mvd8O2cmQgKzE=",
]


@pytest.mark.parametrize("form", FORMS)
def test_an_echoed_secret_is_masked(form: str) -> None:
    """Verbatim and as JSON, URL encoding and Basic authentication write it; in outputs, errors, keys and bytes."""
    mask = Mask(VALUES)
    assert "[secret password]" in mask.text(f"x{form}y")
    assert b"[secret password]" in mask.body(b"\xff" + form.encode())
    outcome = mask.outcome(Output({form: [form, 1, None, {"a": form}]}))
    failure = mask.outcome(Failure("TOOL_ERROR", form, details={"body": form, "status": 500}))
    for told in (outcome, failure):
        assert form not in repr(told)
    assert isinstance(failure, Failure)
    assert failure.details["status"] == 500


def test_secret_files_are_reread_when_they_change(tmp_path: Path) -> None:
    """A trailing line end is removed; projects are separate."""
    (tmp_path / "p").mkdir()
    files = SecretFiles(tmp_path)
    file = tmp_path / "p" / "mail_key"
    for text in (f"{KEY}\n", f"{KEY}-new\r\n", f"  {KEY}"):
        file.write_text(text, newline="")
        assert files.get("p", "mail_key") == text.removesuffix("\n").removesuffix("\r")
    for project, name in (("q", "mail_key"), ("p", "other"), ("p", "../p/mail_key"), ("..", "mail_key"), ("", "p")):
        with pytest.raises(SecretError, match="does not exist"):
            files.get(project, name)
    file.unlink()
    with pytest.raises(SecretError, match="does not exist"):
        files.get("p", "mail_key")
    with pytest.raises(SecretError, match="does not exist"):
        SecretFiles(None).get("p", "mail_key")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"short", "at least 8 characters"),
        (b"", "at least 8 characters"),
        (b"x" * 5000, "at most 4096 bytes"),
        (b"\xff" * 9, "UTF-8"),
        (b"a\0" * 9, "NUL"),
    ],
)
def test_invalid_secret_files_are_rejected(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "mail_key").write_bytes(content)
    with pytest.raises(SecretError, match=words):
        SecretFiles(tmp_path).get("p", "mail_key")
