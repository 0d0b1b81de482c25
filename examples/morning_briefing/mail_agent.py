"""The mail agent: `mail.send` delivers into a Maildir, once for each idempotency key."""

import uuid
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from examples.morning_briefing.agent import add_options, serve
from examples.morning_briefing.maildir import KeyReusedError, OnceOnlyMaildir
from examples.morning_briefing.tool_server import Call, Offer, RejectedError

INPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$", "description": "One address."},
        "subject": {"type": "string", "minLength": 1, "maxLength": 200},
        "text": {"type": "string", "maxLength": 100_000},
    },
    "required": ["to", "subject", "text"],
    "additionalProperties": False,
}
OUTPUT_SCHEMA = {
    "type": "object",
    "properties": {
        "message_id": {"type": "string"},
        "accepted_time": {"type": "string", "description": "RFC 5322 date of the first time the message was sent."},
    },
    "required": ["message_id", "accepted_time"],
}


def send(box: OnceOnlyMaildir, call: Call) -> Mapping[str, Any]:
    """Handles a call of `mail.send`; a call without a key always sends a new message.

    Raises:
        RejectedError: the message is invalid, or its key was used for another message.
    """
    try:
        return box.send(call.key or str(uuid.uuid4()), call.input)
    except KeyReusedError as reused:
        raise RejectedError(f"the key {call.key!r} was used for another message") from reused
    except ValueError as malformed:
        raise RejectedError(str(malformed)) from malformed


def offer(box: OnceOnlyMaildir) -> Offer:
    """The definition of the tool."""
    return Offer(
        name="mail.send",
        description="Sends one plain-text mail. A repeated call with the same Idempotency-Key sends nothing.",
        effect="IDEMPOTENT",
        input_schema=INPUT_SCHEMA,
        output_schema=OUTPUT_SCHEMA,
        answer=lambda call: send(box, call),
    )


def main() -> None:
    """Reads the command line and serves until SIGTERM."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--maildir", type=Path, required=True, help="folder for the messages; created if missing")
    add_options(parser)
    options = parser.parse_args()
    serve("mail", [offer(OnceOnlyMaildir(options.maildir))], options)


if __name__ == "__main__":
    main()
