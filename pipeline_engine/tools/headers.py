"""Headers that a tool's definition may set: those of its own, written in a way that cannot forge more."""

import re

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
    """Why a header cannot be set; None when it can be."""
    if not HEADER_NAME.fullmatch(name):
        return "this is no name of a header"
    if name.lower() in RESERVED_HEADERS or name.lower().startswith("proxy-"):
        return "this header is set by the transport itself"
    if not isinstance(text, str) or len(text) > MAX_HEADER_VALUE:
        return f"a text of at most {MAX_HEADER_VALUE} characters is expected"
    if not text.isascii() or any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        return "a header holds printable ASCII only"
    return None
