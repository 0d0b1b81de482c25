"""Documents from files: YAML 1.2 or JSON, several in one file, without aliases and surprises."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ordinaut.client.document import DocumentError, Problem
from ordinaut.limits import MAX_DOCUMENT_BYTES

STDIN = "-"


def documents(path: str) -> list[dict[str, Any]]:
    """Every document of a file (`-`: standard input) that is not empty.

    Raises:
        DocumentError: it is not YAML or JSON, too large, uses an alias, or a document is no object.
    """
    data = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1) if path == STDIN else Path(path).read_bytes()
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentError([Problem(path, "is larger than 1 MiB")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise DocumentError([Problem(path, f"is not UTF-8: {failure}")]) from None
    return list(_objects(text, path))


def one_document(path: str) -> dict[str, Any]:
    """The only document of a file.

    Raises:
        DocumentError: as `documents`, and when there is another number of them.
    """
    contents = documents(path)
    if len(contents) != 1:
        raise DocumentError([Problem(path, f"one document is expected, and there are {len(contents)}")])
    return contents[0]


def _objects(text: str, path: str) -> Iterator[dict[str, Any]]:
    for document in _json_or_yaml(text, path):
        if document is None:  # the empty one after a last `---`
            continue
        if not isinstance(document, dict):
            raise DocumentError([Problem(path, "a document must be an object")])
        yield document


def _json_or_yaml(text: str, path: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except ValueError:  # JSON is almost YAML; what is left is YAML
        return _yaml(text, path)
    except RecursionError:
        raise DocumentError([Problem(path, "is nested too deep")]) from None


def _yaml(text: str, path: str) -> list[Any]:
    # Imported here: most commands read no file.
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.constructor import SafeConstructor  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415
    from ruamel.yaml.events import AliasEvent  # noqa: PLC0415

    class Plain(SafeConstructor):
        """Times stay the texts that they are: JSON has none, and YAML 1.2's core schema neither."""

    Plain.add_constructor("tag:yaml.org,2002:timestamp", Plain.construct_yaml_str)
    reader = YAML(typ="safe", pure=True)
    reader.Constructor = Plain
    try:
        for event in reader.parse(io.StringIO(text)):
            if isinstance(event, AliasEvent):
                raise DocumentError([Problem(path, f"uses the alias *{event.anchor}: write it out")])
        return list(reader.load_all(text))
    except YAMLError as failure:
        raise DocumentError([Problem(path, f"is not YAML 1.2: {failure}")]) from None
    except RecursionError:
        raise DocumentError([Problem(path, "is nested too deep")]) from None
