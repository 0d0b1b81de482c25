"""The mail agent sends one message for each key, also after crashes."""

from email import message_from_bytes
from pathlib import Path

import pytest

from examples.morning_briefing.mail_agent import offer
from examples.morning_briefing.maildir import KEY_HEADER, POLICY, OnceOnlyMaildir
from examples.morning_briefing.tool_server import Call, RejectedError

MAIL = {"to": "ana@example.org", "subject": "Trei evenimente, azi: știri", "text": "Bună dimineața!\n"}
KEY = "0199aaaa-0000-7000-8000-000000000000/1/rrule:20261124T070000/mail"


def messages(path: Path) -> list[bytes]:
    return [file.read_bytes() for folder in ("new", "cur") for file in (path / folder).iterdir()]


def test_a_message_arrives_as_it_was_written(tmp_path: Path) -> None:
    answer = OnceOnlyMaildir(tmp_path).send(KEY, MAIL)
    (raw,) = messages(tmp_path)
    message = message_from_bytes(raw, policy=POLICY)
    assert (message["To"], message["Subject"], message[KEY_HEADER]) == (MAIL["to"], MAIL["subject"], KEY)
    assert message.get_content() == MAIL["text"]
    assert answer["message_id"] == message["Message-ID"]


def test_a_repeated_key_sends_nothing_and_returns_the_same_result(tmp_path: Path) -> None:
    box = OnceOnlyMaildir(tmp_path)
    assert box.send(KEY, MAIL) == box.send(KEY, MAIL)
    assert len(messages(tmp_path)) == 1


def test_a_restarted_agent_remembers_its_keys(tmp_path: Path) -> None:
    first = OnceOnlyMaildir(tmp_path).send(KEY, MAIL)
    assert OnceOnlyMaildir(tmp_path).send(KEY, MAIL) == first
    assert len(messages(tmp_path)) == 1


def test_a_crash_between_delivery_and_record_delivers_once(tmp_path: Path) -> None:
    first = OnceOnlyMaildir(tmp_path).send(KEY, MAIL)
    (tmp_path / "served.sqlite3").unlink()
    assert OnceOnlyMaildir(tmp_path).send(KEY, MAIL) == first
    assert len(messages(tmp_path)) == 1


def test_a_message_that_was_moved_is_not_sent_again(tmp_path: Path) -> None:
    first = OnceOnlyMaildir(tmp_path).send(KEY, MAIL)
    (delivered,) = (tmp_path / "new").iterdir()
    delivered.rename(tmp_path / "cur" / f"{delivered.name}:2,S")
    (tmp_path / "served.sqlite3").unlink()
    assert OnceOnlyMaildir(tmp_path).send(KEY, MAIL) == first
    assert len(messages(tmp_path)) == 1


def test_a_deleted_message_stays_deleted(tmp_path: Path) -> None:
    box = OnceOnlyMaildir(tmp_path)
    box.send(KEY, MAIL)
    for file in (tmp_path / "new").iterdir():
        file.unlink()
    box.send(KEY, MAIL)
    assert messages(tmp_path) == []


def test_calls_without_a_key_send_separate_messages(tmp_path: Path) -> None:
    tool = offer(OnceOnlyMaildir(tmp_path))
    tool.answer(Call(MAIL, ""))
    tool.answer(Call(MAIL, ""))
    assert len(messages(tmp_path)) == 2


def test_a_key_is_valid_for_one_message(tmp_path: Path) -> None:
    tool = offer(OnceOnlyMaildir(tmp_path))
    tool.answer(Call(MAIL, KEY))
    with pytest.raises(RejectedError, match="another message"):
        tool.answer(Call({**MAIL, "subject": "Another"}, KEY))


def test_header_injection_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(RejectedError):
        offer(OnceOnlyMaildir(tmp_path)).answer(Call({**MAIL, "subject": "Hello\nBcc: all@example.org"}, KEY))
    assert messages(tmp_path) == []
