"""Code generators make one class of each schema: names must differ even without case and punctuation."""

from collections import Counter

import pytest
from google.protobuf.descriptor import Descriptor

from gateway.rest.openapi.document import openapi
from gateway.rest.openapi.errors import SCHEMAS
from gateway.rest.openapi.schemas import Schemas
from gateway.rest.transcoding.routes import RouteTable
from gateway.services import DESCRIPTORS
from ordinaut.v1.run_pb2 import Run, RunError


def test_the_names_of_schemas_are_unique() -> None:
    schemas = openapi(RouteTable(DESCRIPTORS).routes)["components"]["schemas"]
    counts = Counter(name.lower().replace("_", "") for name in schemas)
    assert [name for name, count in counts.items() if count > 1] == []
    assert {"Error", "RunError", "Run", "StepRun"} <= set(schemas)


@pytest.mark.parametrize("message", [Run.DESCRIPTOR, RunError.DESCRIPTOR])
def test_a_message_with_the_name_of_another_schema_is_refused(message: Descriptor) -> None:
    """The document's own schemas, such as `Error`, are not replaced silently."""
    with pytest.raises(ValueError, match=message.name):
        Schemas([*SCHEMAS, message.name]).message(message)
