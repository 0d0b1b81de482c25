"""The schemas of errors, and the error responses that the comment of a method lists."""

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
        "description": "AIP-193: `status` and `details` for programs, `message` for people.",
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
        "description": "One of ErrorInfo (always present), BadRequest, Fix and RetryInfo, according to `@type`.",
        "required": ["@type"],
        "properties": {
            **_TYPE,
            "reason": {"$ref": "#/components/schemas/ErrorReason", "description": "ErrorInfo: the reason."},
            "domain": {"type": "string", "const": "ordinaut", "description": "ErrorInfo."},
            "metadata": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "ErrorInfo: details of the reason.",
            },
            "field_violations": {
                "type": "array",
                "description": "BadRequest: all violations of the request, each with its path.",
                "items": {
                    "type": "object",
                    "properties": {
                        "field": {"type": "string", "examples": ["task.pipeline.steps[2].if"]},
                        "description": {"type": "string"},
                        "reason": {"$ref": "#/components/schemas/ErrorReason"},
                    },
                },
            },
            "explanation": {"type": "string", "description": "Fix: a description."},
            "field": {"type": "string", "description": "Fix: the field of the violation that it removes."},
            "operations": {
                "type": "array",
                "items": {"type": "object"},
                "description": "Fix: a JSON Patch (RFC 6902) for the request.",
            },
            "retry_delay": {"type": "string", "description": "RetryInfo: the time to wait."},
        },
    },
}
EXAMPLE = {
    "error": {
        "code": 400,
        "message": "task.schedule.triggers[0].cron: the minute must be between 0 and 59 (got 61)",
        "status": "INVALID_ARGUMENT",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_CRON", "domain": "ordinaut"},
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "field_violations": [
                    {
                        "field": "task.schedule.triggers[0].cron",
                        "description": "the minute must be between 0 and 59 (got 61)",
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
    """Returns the error responses of a method by HTTP status, from its comment; `default` covers the others."""
    texts: dict[str, list[str]] = {status: [text] for status, text in EVERYWHERE.items() if scoped or status == "401"}
    for code, reasons in CODE.findall(comments().get(method, "").partition("Errors:")[2]):
        status = str(HTTP_STATUS.get(Code.Value(code), 500))
        texts.setdefault(status, []).append(f"{code}{f' ({reasons})' if reasons else ''}.")
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses = {
        status: {"description": " ".join(lines), "content": content} for status, lines in sorted(texts.items())
    }
    return {**responses, "default": ERROR}
