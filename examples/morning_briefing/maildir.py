"""A Maildir that delivers each message exactly once, even if it is sent repeatedly.

The file name of a message is derived from its idempotency key, and a hard link adds the complete file to `new/`
atomically. After a crash there is either no message or the complete one, which the next attempt finds. Results are
stored in `served.sqlite3`, so that a message is not delivered again after its reader has deleted it.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from mailbox import Maildir
from pathlib import Path

KEY_HEADER = "X-Idempotency-Key"
POLICY = policy.default.clone(max_line_length=998)  # RFC 5322 §2.1.1; long keys stay readable
SENDER = "briefing@ordinaut.example"
SERVED = "CREATE TABLE IF NOT EXISTS served (key TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT NOT NULL)"


class KeyReusedError(Exception):
    """The key was used for another message."""


class OnceOnlyMaildir:
    """A Maildir under `path`, created if missing; only one process may write to it."""

    def __init__(self, path: Path) -> None:
        for folder in ("tmp", "new", "cur"):
            (path / folder).mkdir(parents=True, exist_ok=True)
        self._path = path
        self._box = Maildir(path)
        with closing(self._served()) as served, served:
            served.execute(SERVED)

    def send(self, key: str, mail: Mapping[str, str]) -> dict[str, str]:
        """Delivers `mail` (to, subject, text) unless `key` was already used; returns the result of the first delivery.

        Raises:
            KeyReusedError: the key was used for another message.
            ValueError: a header contains invalid text.
        """
        request = json.dumps(dict(mail), sort_keys=True)
        with closing(self._served()) as served, served:
            row = served.execute("SELECT request, answer FROM served WHERE key = ?", (key,)).fetchone()
            if row is None:
                answer = self._deliver(key, mail)
                served.execute("INSERT INTO served VALUES (?, ?, ?)", (key, request, json.dumps(answer)))
                return answer
        if row[0] != request:
            raise KeyReusedError(key)
        return dict(json.loads(row[1]))

    def _served(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path / "served.sqlite3")

    def _deliver(self, key: str, mail: Mapping[str, str]) -> dict[str, str]:
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        if name not in self._box:
            _write_once(self._path, name, bytes(_message(name, key, mail)))
        stored = self._box[name]
        return {"message_id": str(stored["Message-ID"]), "accepted_time": str(stored["Date"])}


def _message(name: str, key: str, mail: Mapping[str, str]) -> EmailMessage:
    message = EmailMessage(POLICY)
    message["From"] = SENDER
    message["To"] = mail["to"]
    message["Subject"] = mail["subject"]
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = f"<{name}@ordinaut.example>"
    message[KEY_HEADER] = key
    message.set_content(mail["text"])
    return message


def _write_once(maildir: Path, name: str, content: bytes) -> None:
    """Creates `new/<name>` atomically with all of `content`, and syncs it to disk."""
    draft = maildir / "tmp" / name
    draft.unlink(missing_ok=True)
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.link(draft, maildir / "new" / name)
    draft.unlink()
    folder = os.open(maildir / "new", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
