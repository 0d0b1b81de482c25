"""Validates the headers of a tool's definition: no reserved names, no characters that could inject a header."""

import re

from pipeline_engine.data.describe import kind_of, quoted

MAX_HEADER_VALUE = 4096
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
RESERVED_HEADERS = frozenset(
    {
        "accept-encoding",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "te",
        "traceparent",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def header_problem(name: str, text: object) -> str | None:
    """Returns why a header cannot be set, or None."""
    if not HEADER_NAME.fullmatch(name):
        return f"{quoted(name)} is not a valid header name"
    if name.lower() in RESERVED_HEADERS or name.lower().startswith("proxy-"):
        return f"the header {name} is reserved for the transport"
    if not isinstance(text, str) or len(text) > MAX_HEADER_VALUE:
        length = f"{len(text)} characters" if isinstance(text, str) else kind_of(text)
        return f"a header value must be a string of at most {MAX_HEADER_VALUE} characters (got {length})"
    if not text.isascii() or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        return "a header value must contain only printable ASCII"
    if "${" in text or "{{" in text:
        return "a header value is sent as it is and must not contain templates; a secret is named in `auth`"
    return None
