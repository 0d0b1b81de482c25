"""A tool that must not be called twice, as a separate process: `python -m tests.acceptance.mail_room PORT LOG`.

`POST /send {fault}`: to act is to append `sent KEY` to the log. The first time that a key is sent, the fault `die` then
ends the process without an answer, and `hang` gives none. `POST /find {key}` tells whether a key was sent, and notes
that it was `asked`.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class MailRoom(BaseHTTPRequestHandler):
    log: Path

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._find(given["key"]) if self.path == "/find" else self._send(given["fault"])

    def _find(self, key: str) -> None:
        note(self.log, f"asked {key}")
        self._answer({"happened": key in sent(self.log), "output": {"found": True}})

    def _send(self, fault: str) -> None:
        key = self.headers["Idempotency-Key"]
        note(self.log, f"sent {key}")
        if sent(self.log).count(key) == 1:
            if fault == "die":
                os._exit(1)
            if fault == "hang":
                threading.Event().wait()
        self._answer({"found": False})

    def _answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing on standard error."""


def note(log: Path, line: str) -> None:
    """Appends in one system call, so that lines never mix."""
    with log.open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def sent(log: Path) -> list[str]:
    """The keys that were acted on, in order."""
    return noted(log, "sent")


def noted(log: Path, what: str) -> list[str]:
    """The keys of some lines of the log, in order."""
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    return [key for word, key in lines if word == what]


def main(port: str, log: str) -> None:
    MailRoom.log = Path(log)
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", int(port)), MailRoom).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
