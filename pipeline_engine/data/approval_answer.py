"""Answers to approvals: the hash that binds an answer to its question, and the output that a step makes of it."""

import hashlib
from typing import Any

import orjson

from pipeline_engine.data.failure import PAYLOAD_TOO_LARGE, Failure
from pipeline_engine.data.payload import PayloadError, write

APPROVED = "approved"


def subject_hash(data: Any) -> str:
    """Returns the hex SHA-256 of a value as canonical JSON: sorted keys, no spaces."""
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()


def approval_output(question: bytes, answer: bytes) -> tuple[dict[str, Any], bytes] | Failure:
    """Returns the output of an answered approval, and the same as JSON; `data` includes the edits of the answer."""
    request, reply = orjson.loads(question), orjson.loads(answer)
    value = {
        "status": reply["status"],
        "choice": reply.get("choice"),
        "input": reply.get("input"),
        "data": reply["edited_input"] if "edited_input" in reply else request.get("data"),
        "agent": reply.get("agent"),
        "comment": reply.get("comment", ""),
        "approval": reply.get("approval"),
        "time": reply["time"],
    }
    try:
        return value, write(value)
    except PayloadError as error:
        return Failure(PAYLOAD_TOO_LARGE, f"the answer to the approval: {error}")
