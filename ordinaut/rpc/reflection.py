"""Server reflection, v1 and v1alpha, for clients such as grpcurl.

grpcio-reflection serves only v1alpha, whose messages are identical on the wire to those of v1. It does not describe
methods, which grpcurl requests, and it describes every imported proto, including the internal ones.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection, reflection_pb2

V1 = "grpc.reflection.v1.ServerReflection"
INTERNAL_FILES = "ordinaut/internal/"
INTERNAL_PACKAGE = "ordinaut.internal."


Servicer: Any = reflection.aio.ReflectionServicer  # the type stubs lack the methods that are overridden here


class _Reflection(Servicer):  # type: ignore[misc]  # for the same reason
    def __init__(self, services: Sequence[str]) -> None:
        super().__init__(services)
        self._shows_internal = any(service.startswith(INTERNAL_PACKAGE) for service in services)

    def _file_containing_symbol(self, request: Any, fully_qualified_name: str) -> Any:
        answer = super()._file_containing_symbol(request, fully_qualified_name)
        if answer.HasField("error_response") and "." in fully_qualified_name:
            service = fully_qualified_name.rpartition(".")[0]
            answer = super()._file_containing_symbol(request, service)
        return self._screened(request, answer)

    def _file_by_filename(self, request: Any, filename: str) -> Any:
        return self._screened(request, super()._file_by_filename(request, filename))

    def _screened(self, request: Any, answer: Any) -> Any:
        files = answer.file_descriptor_response.file_descriptor_proto
        if self._shows_internal or not any(_is_internal(file) for file in files):
            return answer
        return super()._file_by_filename(request, "")


def _is_internal(file: bytes) -> bool:
    return descriptor_pb2.FileDescriptorProto.FromString(file).name.startswith(INTERNAL_FILES)


@cache
def _describe_v1() -> None:
    """Registers the descriptors of v1, a renamed v1alpha, because clients request them for each listed service."""
    alpha = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    v1 = text_format.Parse(str(alpha).replace("v1alpha", "v1"), descriptor_pb2.FileDescriptorProto())
    descriptor_pool.Default().AddSerializedFile(v1.SerializeToString())


def add_reflection(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Adds reflection that lists `services` and the reflection service itself."""
    _describe_v1()
    servicer: Any = _Reflection([*services, V1, reflection.SERVICE_NAME])
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    for name in (V1, reflection.SERVICE_NAME):
        generic = grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})
        server.add_generic_rpc_handlers((generic,))
