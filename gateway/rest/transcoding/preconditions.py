"""Maps HTTP headers to request fields: If-Match, If-None-Match, Idempotency-Key; and etags to the header ETag."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from gateway.rest.transcoding.headers import Headers
from gateway.rest.transcoding.routes import Route
from ordinaut.errors import Violation

ANY = "*"


@dataclass(frozen=True, slots=True)
class Preconditions:
    """The values of the three headers of a request."""

    if_match: str
    if_none_match: str
    idempotency_key: str

    @classmethod
    def of(cls, headers: Headers) -> "Preconditions":
        """Reads the headers."""
        names = (b"if-match", b"if-none-match", b"idempotency-key")
        return cls(*(", ".join(headers.all(name)) for name in names))

    def conditional(self, route: Route) -> bool:
        """Whether a stale etag means that a precondition of the caller failed (412)."""
        return route.verb != "GET" and bool(self.if_match or self.if_none_match)

    def put(self, route: Route, document: dict[str, Any]) -> Iterator[Violation]:
        """Sets the fields that correspond to the headers; yields violations for headers that do not apply."""
        if self.idempotency_key:
            if "request_id" not in route.request.fields_by_name:
                yield Violation("Idempotency-Key", "must be omitted: this method does not modify data")
            else:
                yield from _set(document, "request_id", self.idempotency_key, "Idempotency-Key")
        if route.verb == "GET":
            return
        if self.if_match and self.if_match != ANY:
            yield from self._match(route, document)
        if self.if_none_match:
            yield from self._none_match(route.request, document)

    def _match(self, route: Route, document: dict[str, Any]) -> Iterator[Violation]:
        tag = _quoted(self.if_match.removeprefix("W/"))
        request = route.request
        resource = request.fields_by_name.get(route.body)
        if "etag" in request.fields_by_name:
            yield from _set(document, "etag", tag, "If-Match")
        elif "revision" in request.fields_by_name:
            yield from _set(document, "revision", tag.strip('"'), "If-Match")
        elif resource is not None and resource.message_type and "etag" in resource.message_type.fields_by_name:
            inner = document.get(route.body)
            if isinstance(inner, dict):
                yield from _set(inner, "etag", tag, "If-Match")
        else:
            yield Violation("If-Match", "must be omitted: this method supports no preconditions")

    def _none_match(self, request: Descriptor, document: dict[str, Any]) -> Iterator[Violation]:
        if self.if_none_match == ANY and "revision" in request.fields_by_name:
            yield from _set(document, "revision", "0", "If-None-Match")
        else:
            yield Violation("If-None-Match", "must be `*`, and is supported only for requests with a revision")


def etag(response: Message) -> str:
    """Returns the ETag of a response; empty for messages without etag and revision."""
    fields = response.DESCRIPTOR.fields_by_name
    for name in ("etag", "revision"):
        if name in fields and (value := getattr(response, name)):
            return _quoted(str(value))
    return ""


def _quoted(tag: str) -> str:
    """Quotes an entity tag; etags of resources are quoted already. Source: RFC 9110, 8.8.3."""
    return tag if tag.startswith('"') else f'"{tag}"'


def _set(document: dict[str, Any], name: str, value: str, header: str) -> Iterator[Violation]:
    if str(document.setdefault(name, value)) != value:
        yield Violation(header, f"must equal {name} in the request, {str(document[name])[:80]!r} (got {value!r})")
