"""The forms in which a text usually appears again: verbatim, and as JSON, URLs and Base64 write it."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from yarl import URL


def text_forms(text: str) -> Iterator[str]:
    """Yields the forms of a text, with repetitions.

    >>> sorted(set(text_forms("a b")))
    ['YSBi', 'a b', 'a%20b', 'a+b']
    """
    yield text
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    yield quote(text, safe="")
    yield quote_plus(text)
    yield URL("http://h/").update_query({"k": text}).raw_query_string[2:]
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")
