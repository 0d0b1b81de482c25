"""Questions to people and agents: what an answer is for, and what a step that asked makes of it."""

import hashlib
from typing import Any

import orjson

from pipeline_engine.data.failure import PAYLOAD_TOO_LARGE, Failure
from pipeline_engine.data.payload import PayloadError, write

APPROVED = "approved"


def subject_hash(data: Any) -> str:
    """Hex SHA-256 of a value as canonical JSON: keys in order, no spaces."""
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()


def outcome(question: bytes, result: bytes) -> tuple[dict[str, Any], bytes] | Failure:
    """What a question came to, and the same as JSON; `data` is what was asked about, as the answer has changed it."""
    asked, given = orjson.loads(question), orjson.loads(result)
    value = {
        "status": given["status"],
        "choice": given.get("choice"),
        "input": given.get("input"),
        "data": given["edited_input"] if "edited_input" in given else asked.get("data"),
        "agent": given.get("agent"),
        "comment": given.get("comment", ""),
        "approval": given.get("approval"),
        "time": given["time"],
    }
    try:
        return value, write(value)
    except PayloadError as error:
        return Failure(PAYLOAD_TOO_LARGE, f"the answer: {error}")
