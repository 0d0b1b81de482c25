"""Parses YAML 1.2: documents without aliases, with the types of JSON, and with numbers only where nothing is lost."""

import math
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from ordinaut.documents.invalid_value import InvalidValue
from ordinaut.documents.json_text import MAX_DIGITS, malformed, too_many_digits, utf8
from ordinaut.errors import InvalidArgumentError
from ordinaut.limits import MAX_JSON_DEPTH
from ordinaut.v1.error_pb2 import ErrorReason

INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
RADIX_INTEGER = re.compile(r"0o[0-7]{1,300}|0x[0-9A-Fa-f]{1,250}")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,6})?")
CONSTANTS = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}


def read_yaml(data: bytes) -> Any:
    """Parses the only document of a YAML text in UTF-8; takes about a second for 100 kB.

    Raises:
        InvalidArgumentError: MALFORMED_JSON, INVALID_UNICODE, JSON_TOO_DEEP.
    """
    documents = list(read_yaml_documents(data))
    if len(documents) > 1:
        raise malformed(f"the YAML must contain one document (got {len(documents)})")
    return documents[0] if documents else None


def read_yaml_documents(data: bytes) -> Iterator[Any]:
    """Parses the documents of a YAML text in UTF-8.

    Raises:
        InvalidArgumentError: as `read_yaml`.
    """
    reader = YAML(typ="safe", pure=True)
    reader.Composer = _Composer
    reader.Constructor = _Constructor
    try:
        yield from reader.load_all(utf8(data))
    except YAMLError as failure:
        raise malformed(f"the text must be YAML 1.2 or JSON: {str(failure)[:500]}") from None


class _Composer(Composer):
    """Refuses aliases, because a line of them can expand to gigabytes, and deep nesting, because parsing recurses."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.parser.check_event(AliasEvent):
            anchor = self.parser.peek_event().anchor
            raise malformed(f"YAML must not contain aliases (got *{anchor})")
        self._depth += 1
        if self._depth > MAX_JSON_DEPTH:
            raise InvalidArgumentError(
                ErrorReason.JSON_TOO_DEEP, f"YAML must be nested at most {MAX_JSON_DEPTH} levels deep"
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Constructor(SafeConstructor):
    """Reads the scalars of JSON; others, such as timestamps, stay text.

    Numbers that YAML parsers read differently, or that would lose characters, stay text too: `01234` (a postal code, or
    an octal number in YAML 1.1), `1_000` and `0b11` (numbers in YAML 1.1 only).
    """

    def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any) -> bool:
        """Replaces the value of a repeated key, so that the converter reports its path with the other problems."""
        if key not in mapping:
            return True
        message = f"must be unique in its object (repeated in line {key_node.start_mark.line + 1})"
        mapping[key] = InvalidValue(ErrorReason.DUPLICATE_KEY, message)
        return False

    def construct_yaml_int(self, node: Any) -> Any:
        text = str(self.construct_scalar(node))
        if RADIX_INTEGER.fullmatch(text):
            return int(text, 0)
        if not INTEGER.fullmatch(text):
            return text
        return int(text) if len(text) <= MAX_DIGITS else too_many_digits(text)

    def construct_yaml_float(self, node: Any) -> Any:
        text = str(self.construct_scalar(node))
        if FLOAT.fullmatch(text):
            return float(text)
        return CONSTANTS.get(text.lower(), text)


_Constructor.add_constructor("tag:yaml.org,2002:int", _Constructor.construct_yaml_int)
_Constructor.add_constructor("tag:yaml.org,2002:float", _Constructor.construct_yaml_float)
_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_str)
