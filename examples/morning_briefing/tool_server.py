"""Serves tools over HTTP: one POST route for each tool, with JSON bodies."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator

MAX_BODY_BYTES = 1024 * 1024
KEY_HEADER = "Idempotency-Key"


class RejectedError(Exception):
    """The call is invalid; a retry gives the same result."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call; `key` is equal for all attempts of the same step of the same occurrence."""

    input: Mapping[str, Any]
    key: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool of an agent; `effect` is READ or IDEMPOTENT, the schemas are JSON Schema 2020-12."""

    name: str
    description: str
    effect: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    answer: Callable[[Call], Mapping[str, Any]]


class CallLog:
    """Logs every received call as a JSON line before it is handled."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def received(self, tool: str, call: Call) -> None:
        """Appends the call; does nothing if there is no path."""
        if self._path is None:
            return
        entry = {"time": datetime.now(UTC).isoformat(), "tool": tool, "key": call.key, "input": call.input}
        with self._path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry) + "\n")


def application(offers: Sequence[Offer], log: CallLog, answer_delay: float) -> web.Application:
    """Serves each offer at `/<name>`; each response is delayed by `answer_delay` seconds."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    for offer in offers:
        app.router.add_post(f"/{offer.name}", _handler(offer, log, answer_delay))
    return app


def _handler(offer: Offer, log: CallLog, answer_delay: float) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        status, answer = respond(offer, log, await request.read(), request.headers.get(KEY_HEADER, ""))
        await asyncio.sleep(answer_delay)
        return web.json_response(answer, status=status)

    return handle


def respond(offer: Offer, log: CallLog, body: bytes, key: str) -> tuple[int, Mapping[str, Any]]:
    """Handles one call: status 200 and the output, or 400 and `{"error": …}` for invalid input."""
    try:
        call = Call(_checked(offer, body), key)
        log.received(offer.name, call)
        return 200, offer.answer(call)
    except RejectedError as rejection:
        return 400, {"error": str(rejection)}


def _checked(offer: Offer, body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as unreadable:
        raise RejectedError("the body must be JSON") from unreadable
    problems = [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(offer.input_schema).iter_errors(value)
    ]
    if problems:
        raise RejectedError("; ".join(problems))
    return dict(value)
