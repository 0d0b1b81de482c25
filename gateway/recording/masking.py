"""Removes values of secrets from what is recorded."""

import re
from typing import Any

from ordinaut import sensitive
from ordinaut.names import SECRET

MASK = "***"
SENSITIVE = re.compile(
    r"secret|passw|passphrase|token|api_?-?key|authorization|credential|private_?-?key|cookie", re.IGNORECASE
)
REFERENCE = re.compile(rf"(?:[A-Za-z]+ +)?\$\{{\s*secrets\.{SECRET.pattern}\s*\}}")
IN_TEXT = re.compile(
    r"ord1?_[0-9a-z]{16}_[0-9A-Za-z]+"  # tokens of agents
    r"|(?<=(?i:bearer) )[A-Za-z0-9._~+/=-]{8,}"
    r"|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"  # user and password in a URL
)
NAMES = ("http", "auth")  # below it a tool names its secrets


def masked(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Returns a copy of a JSON value with `***` for secrets: texts below sensitive names, and tokens inside of texts.

    References to secrets are kept, numbers and booleans too.

    >>> masked({"api_key": "k", "max_tokens": 3, "headers": {"authorization": "Bearer ${secrets.mail}"}})
    {'api_key': '***', 'max_tokens': 3, 'headers': {'authorization': 'Bearer ${secrets.mail}'}}
    >>> masked({"url": "https://me:pass@host/"})
    {'url': 'https://***@host/'}
    """
    if isinstance(value, dict):
        return {clean(key): masked(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, path) for item in value]
    if not isinstance(value, str):
        return value
    is_secret = any(SENSITIVE.search(name) for name in path) and path[:2] != NAMES
    if is_secret and value and not REFERENCE.fullmatch(value):
        return MASK
    return clean(value)


def clean(text: str) -> str:
    """Masks tokens, passwords and encrypted values in a text; replaces NUL, which PostgreSQL does not store in JSON."""
    return IN_TEXT.sub(MASK, sensitive.masked(text).replace("\0", "\N{REPLACEMENT CHARACTER}"))
