"""YAML 1.2 as plain data: one document, no aliases, no types but those of JSON."""

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from gateway.rest.transcoding.json_text import malformed, utf8
from ordinaut.errors import InvalidArgumentError
from ordinaut.limits import MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason


def read_yaml(data: bytes) -> Any:
    """The value of a YAML document in UTF-8; takes about a second for each 100 kB.

    Raises:
        InvalidArgumentError: MALFORMED_JSON, DUPLICATE_KEY, INVALID_UNICODE, JSON_TOO_DEEP, NUMBER_OUT_OF_RANGE.
    """
    reader = YAML(typ="safe", pure=True)
    reader.Composer = _Composer
    reader.Constructor = _Constructor
    try:
        return reader.load(utf8(data))
    except DuplicateKeyError as failure:
        raise InvalidArgumentError(ErrorReason.DUPLICATE_KEY, str(failure.problem)) from None
    except YAMLError as failure:
        raise malformed(f"the body is not YAML 1.2: {str(failure)[:500]}") from None
    except ValueError:  # Python refuses to read integers of more than 4 300 digits
        raise InvalidArgumentError(
            ErrorReason.NUMBER_OUT_OF_RANGE, "the body holds a number that is too long"
        ) from None


class _Composer(Composer):
    """Refuses aliases, which can make gigabytes out of a line, and depth, which recurses."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.parser.check_event(AliasEvent):
            anchor = self.parser.peek_event().anchor
            raise malformed(f"the body uses the alias *{anchor}: write it out")
        self._depth += 1
        if self._depth > MAX_JSON_DEPTH:
            raise InvalidArgumentError(ErrorReason.JSON_TOO_DEEP, f"YAML may be nested {MAX_JSON_DEPTH} levels deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Constructor(SafeConstructor):
    """Times stay the texts that they are: JSON has none, and YAML 1.2's core schema neither."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_str)
