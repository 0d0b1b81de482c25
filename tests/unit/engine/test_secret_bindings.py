"""A secret goes to the tools, hosts and places of its binding; loose files are made private."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline_engine.tools.secret_bindings import Destination
from pipeline_engine.tools.secret_files import SecretError, SecretFiles

BINDING = {"tools": ["mail.*"], "hosts": ["Mail.example.", "h.example:8443", "[::1]:80"], "in": ["AUTH"]}


def folder(tmp_path: Path, binding: object = None) -> Path:
    project = tmp_path / "p"
    project.mkdir()
    (project / "mail_key").write_text("0123456789")
    if binding is not None:
        text = binding if isinstance(binding, str) else json.dumps(binding)
        (project / "mail_key.binding.json").write_text(text)
    return project


def refusal(files: SecretFiles, destination: Destination, place: str = "AUTH") -> str:
    try:
        files.check_destination("p", "mail_key", destination, place)
    except SecretError as refused:
        return refused.kind
    return ""


@pytest.mark.parametrize(
    ("tool", "host", "port", "place", "permitted"),
    [
        ("mail.send", "mail.example", 443, "AUTH", True),
        ("mail.send", "MAIL.example.", 8080, "AUTH", True),
        ("mail.send", "h.example", 8443, "AUTH", True),
        ("mail.send", "::1", 80, "AUTH", True),
        ("mail.send", "h.example", 443, "AUTH", False),
        ("mail.send", "evil.mail.example", 443, "AUTH", False),
        ("mail.send", "mail.example.evil", 443, "AUTH", False),
        ("mail", "mail.example", 443, "AUTH", False),
        ("bank.send", "mail.example", 443, "AUTH", False),
        ("mail.send", "mail.example", 443, "WITH", False),
    ],
)
def test_all_parts_of_a_binding_must_fit(
    tmp_path: Path, tool: str, host: str, port: int, place: str, *, permitted: bool
) -> None:
    folder(tmp_path, BINDING)
    found = refusal(SecretFiles(tmp_path), Destination(tool, host, port), place)
    assert found == ("" if permitted else "SECRET_NOT_BOUND")


@pytest.mark.parametrize(
    "binding",
    ["{", "[]", {}, {"tools": ["*"]}, {"tools": "*", "hosts": ["h"]}, {"tools": [], "hosts": ["h"]},
     {"tools": ["*"], "hosts": [1]}, {**BINDING, "in": ["BODY"]}, {**BINDING, "port": 1}, "[" * 5000],
)  # fmt: skip
def test_a_binding_that_cannot_be_read_permits_nothing(tmp_path: Path, binding: Any) -> None:
    folder(tmp_path, binding)
    assert refusal(SecretFiles(tmp_path), Destination("mail.send", "h", 443)) == "SECRET_NOT_BOUND"


def test_both_places_are_permitted_by_default(tmp_path: Path) -> None:
    folder(tmp_path, {"tools": ["*"], "hosts": ["h"]})
    files = SecretFiles(tmp_path)
    assert [refusal(files, Destination("t", "h", 1), place) for place in ("AUTH", "WITH")] == ["", ""]


def test_a_changed_binding_holds_at_once(tmp_path: Path) -> None:
    project = folder(tmp_path, BINDING)
    files, destination = SecretFiles(tmp_path), Destination("mail.send", "other.example", 443)
    assert refusal(files, destination) == "SECRET_NOT_BOUND"
    (project / "mail_key.binding.json").write_text(json.dumps({**BINDING, "hosts": ["other.example"]}))
    assert refusal(files, destination) == ""


def test_a_secret_without_a_binding_is_allowed_or_refused(tmp_path: Path) -> None:
    folder(tmp_path)
    destination = Destination("t", "h", 443)
    assert refusal(SecretFiles(tmp_path), destination) == ""
    assert refusal(SecretFiles(tmp_path, "refuse"), destination) == "SECRET_NOT_BOUND"


@pytest.mark.parametrize(("mode", "expected"), [(0o666, 0o600), (0o644, 0o600), (0o640, 0o600), (0o400, 0o400)])
def test_loose_files_are_made_private(tmp_path: Path, mode: int, expected: int) -> None:
    project = folder(tmp_path, BINDING)
    for path in (project / "mail_key", project / "mail_key.binding.json"):
        path.chmod(mode)
    project.chmod(0o777)
    files = SecretFiles(tmp_path)
    assert files.get("p", "mail_key") == "0123456789"
    assert refusal(files, Destination("mail.send", "mail.example", 443)) == ""
    modes = [path.stat().st_mode & 0o777 for path in (project / "mail_key", project / "mail_key.binding.json", project)]
    assert modes == [expected, expected, 0o700]


def test_files_of_others_that_others_may_write_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that they may only read are mounted so by container platforms."""
    project = folder(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    for path in (tmp_path, project):
        path.chmod(0o755)
    (project / "mail_key").chmod(0o644)
    assert SecretFiles(tmp_path).get("p", "mail_key") == "0123456789"
    (project / "mail_key").chmod(0o666)
    with pytest.raises(SecretError, match="others may write"):
        SecretFiles(tmp_path).get("p", "mail_key")
