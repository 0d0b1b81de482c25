"""The routes of the API, from the option `google.api.http` of each method of the public services."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from gateway.rest.errors import HttpError
from gateway.rest.transcoding.path_template import PathTemplate
from ordinaut.errors import NotFoundError, UnimplementedError
from ordinaut.v1.error_pb2 import ErrorReason

WHOLE = "*"


@dataclass(frozen=True, slots=True)
class Route:
    """An HTTP method on a path; `body` is a field, `*` for the whole request, or empty for no body."""

    verb: str
    template: PathTemplate
    body: str
    method: MethodDescriptor

    @property
    def path(self) -> str:
        """The path of the gRPC method: `/package.Service/Method`."""
        service: ServiceDescriptor = self.method.containing_service
        return f"/{service.full_name}/{self.method.name}"

    @property
    def request(self) -> Descriptor:
        """The request's type."""
        return self.method.input_type

    @property
    def request_class(self) -> type[Message]:
        """The class of requests."""
        return GetMessageClass(self.method.input_type)

    @property
    def response_class(self) -> type[Message]:
        """The class of responses."""
        return GetMessageClass(self.method.output_type)


class RouteTable:
    """Finds the route of a request."""

    def __init__(self, services: Iterable[ServiceDescriptor]) -> None:
        self.routes = sorted(
            (route for service in services for method in service.methods for route in routes_of(method)),
            key=lambda route: route.template.rank,
        )

    def find(self, verb: str, raw_path: str) -> tuple[Route, dict[str, str]]:
        """Returns the route of a path that is still percent-encoded, with the values of its variables.

        Raises:
            HttpError: 404 METHOD_UNKNOWN, 405 METHOD_NOT_ALLOWED.
            InvalidArgumentError: the path is not percent-encoded UTF-8.
        """
        allowed = []
        for route in self.routes:
            if match := route.template.match(raw_path):
                if route.verb == verb:
                    return route, route.template.values(match)
                allowed.append(route.verb)
        if allowed:
            raise method_not_allowed(verb, allowed)
        raise unknown_path(raw_path)


def unknown_path(path: str) -> HttpError:
    """404 for a path without a route."""
    return HttpError(404, NotFoundError(ErrorReason.METHOD_UNKNOWN, f"unknown path {path[:200]!r}; see /docs"))


def method_not_allowed(verb: str, allowed: Iterable[str]) -> HttpError:
    """405, with the methods of the path."""
    names = ", ".join(sorted(set(allowed)))
    error = UnimplementedError(
        ErrorReason.METHOD_NOT_ALLOWED, f"the method of this path must be one of {names} (got {verb})"
    )
    return HttpError(405, error, {"allow": names})


def routes_of(method: MethodDescriptor) -> Iterator[Route]:
    """Yields the routes of a method, including additional bindings."""
    rule: Any = method.GetOptions().Extensions[annotations_pb2.http]
    for binding in (rule, *rule.additional_bindings):
        verb = binding.WhichOneof("pattern")
        if verb:
            yield Route(verb.upper(), PathTemplate.parse(getattr(binding, verb)), binding.body, method)
