"""Parses YAML 1.2 bodies: one document, without aliases, with the types of JSON."""

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
    """Parses a YAML document in UTF-8; takes about a second for 100 kB.

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
        raise malformed(f"the body is not valid YAML 1.2: {str(failure)[:500]}") from None
    except ValueError:  # Python refuses to read integers of more than 4 300 digits
        raise InvalidArgumentError(
            ErrorReason.NUMBER_OUT_OF_RANGE, "an integer in the body has too many digits"
        ) from None


class _Composer(Composer):
    """Refuses aliases, because a line of them can expand to gigabytes, and deep nesting, because parsing recurses."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.parser.check_event(AliasEvent):
            anchor = self.parser.peek_event().anchor
            raise malformed(f"the body must not contain aliases (got *{anchor})")
        self._depth += 1
        if self._depth > MAX_JSON_DEPTH:
            raise InvalidArgumentError(
                ErrorReason.JSON_TOO_DEEP, f"YAML must be nested at most {MAX_JSON_DEPTH} levels deep"
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Constructor(SafeConstructor):
    """Keeps timestamps as strings: neither JSON nor the core schema of YAML 1.2 has a type for them."""


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_str)
