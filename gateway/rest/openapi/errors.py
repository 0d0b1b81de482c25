"""How failures look, and which of them a method's comment announces."""

import re
from collections.abc import Mapping
from typing import Any

from google.rpc.code_pb2 import Code

from gateway.rest.errors import HTTP_STATUS
from gateway.rest.openapi.comments import comments
from gateway.rest.openapi.schemas import enumeration
from ordinaut.v1.error_pb2 import ErrorReason

CODE = re.compile(r"\b(" + "|".join(Code.keys()) + r")\b(?: \(([A-Z_, ]+)\))?")
EVERYWHERE = {"401": "The token is missing or not valid.", "403": "The token lacks the method's scope."}
ERROR = {"$ref": "#/components/responses/Error"}
_TYPE = {"@type": {"type": "string"}}
SCHEMAS: Mapping[str, Any] = {
    "ErrorReason": enumeration(ErrorReason.DESCRIPTOR),
    "Error": {
        "type": "object",
        "description": "AIP-193: what went wrong, for programs (`status`, `details`) and for people (`message`).",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message", "status", "details"],
                "properties": {
                    "code": {"type": "integer", "description": "The HTTP status."},
                    "message": {"type": "string"},
                    "status": {"type": "string", "description": "A name of google.rpc.Code."},
                    "details": {"type": "array", "items": {"$ref": "#/components/schemas/ErrorDetail"}},
                },
            }
        },
    },
    "ErrorDetail": {
        "type": "object",
        "description": "One of ErrorInfo (always there), BadRequest, Fix and RetryInfo; `@type` tells which.",
        "required": ["@type"],
        "properties": {
            **_TYPE,
            "reason": {"$ref": "#/components/schemas/ErrorReason", "description": "ErrorInfo: why."},
            "domain": {"type": "string", "const": "ordinaut", "description": "ErrorInfo."},
            "metadata": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "ErrorInfo: the facts.",
            },
            "field_violations": {
                "type": "array",
                "description": "BadRequest: every problem of the request, each with the path to it.",
                "items": {
                    "type": "object",
                    "properties": {
                        "field": {"type": "string", "examples": ["task.pipeline.steps[2].if"]},
                        "description": {"type": "string"},
                        "reason": {"$ref": "#/components/schemas/ErrorReason"},
                    },
                },
            },
            "explanation": {"type": "string", "description": "Fix: what it does."},
            "field": {"type": "string", "description": "Fix: the violation that it repairs."},
            "operations": {
                "type": "array",
                "items": {"type": "object"},
                "description": "Fix: a JSON Patch (RFC 6902) over the request.",
            },
            "retry_delay": {"type": "string", "description": "RetryInfo: how long to wait."},
        },
    },
}
EXAMPLE = {
    "error": {
        "code": 400,
        "message": "task.schedule.triggers[0].cron: the minute 61 does not exist: 0 to 59",
        "status": "INVALID_ARGUMENT",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_CRON", "domain": "ordinaut"},
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "field_violations": [
                    {
                        "field": "task.schedule.triggers[0].cron",
                        "description": "the minute 61 does not exist: 0 to 59",
                        "reason": "INVALID_CRON",
                    }
                ],
            },
        ],
    }
}
RESPONSE = {
    "description": "The call failed.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}, "example": EXAMPLE}},
}


def error_responses(method: str, *, scoped: bool) -> dict[str, Any]:
    """The failures of a method by HTTP status, from its comment; `default` for whatever else there is."""
    told: dict[str, list[str]] = {status: [text] for status, text in EVERYWHERE.items() if scoped or status == "401"}
    for code, reasons in CODE.findall(comments().get(method, "").partition("Errors:")[2]):
        status = str(HTTP_STATUS.get(Code.Value(code), 500))
        told.setdefault(status, []).append(f"{code}{f' ({reasons})' if reasons else ''}.")
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    found = {status: {"description": " ".join(texts), "content": content} for status, texts in sorted(told.items())}
    return {**found, "default": ERROR}
