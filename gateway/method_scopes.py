"""Which scope each method needs, read from the contract itself."""

from collections.abc import Sequence

from google.protobuf.descriptor import ServiceDescriptor

from ordinaut.v1.options_pb2 import scope as scope_option

SELF = "self"


def method_scopes(services: Sequence[ServiceDescriptor]) -> dict[str, str]:
    """The scope of every method by its full path, `/package.Service/Method`.

    Raises:
        RuntimeError: a method declares none, so that nobody could tell who may call it.
    """
    scopes = {
        f"/{service.full_name}/{method.name}": method.GetOptions().Extensions[scope_option]
        for service in services
        for method in service.methods
    }
    if missing := sorted(path for path, scope in scopes.items() if not scope):
        raise RuntimeError(f"these methods declare no scope: {', '.join(missing)}")
    return scopes
