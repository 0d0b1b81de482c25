"""Reads documents from files: JSON, or one or more documents of YAML 1.2 without aliases."""

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
    """The non-empty documents of a file (`-`: standard input).

    Raises:
        DocumentError: not YAML or JSON, too large, with an alias, or a document that is not an object.
    """
    data = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1) if path == STDIN else Path(path).read_bytes()
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentError([Problem(path, "must be at most 1 MiB")])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        raise DocumentError([Problem(path, f"must be UTF-8: {failure}")]) from None
    return list(_objects(text, path))


def one_document(path: str) -> dict[str, Any]:
    """The only document of a file.

    Raises:
        DocumentError: as `documents`, or the file does not contain exactly one document.
    """
    contents = documents(path)
    if len(contents) != 1:
        raise DocumentError([Problem(path, f"must contain exactly one document (got {len(contents)})")])
    return contents[0]


def _objects(text: str, path: str) -> Iterator[dict[str, Any]]:
    for document in _json_or_yaml(text, path):
        if document is None:  # an empty document after a trailing `---`
            continue
        if not isinstance(document, dict):
            raise DocumentError([Problem(path, f"a document must be an object (got {type(document).__name__})")])
        yield document


def _json_or_yaml(text: str, path: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except ValueError:  # not JSON, or several documents
        return _yaml(text, path)
    except RecursionError:
        raise DocumentError([Problem(path, "is nested too deeply")]) from None


def _yaml(text: str, path: str) -> list[Any]:
    # Imported here, because most commands do not read files.
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.constructor import SafeConstructor  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415
    from ruamel.yaml.events import AliasEvent  # noqa: PLC0415

    class Plain(SafeConstructor):
        """Keeps timestamps as strings: neither JSON nor the core schema of YAML 1.2 has a timestamp type."""

    Plain.add_constructor("tag:yaml.org,2002:timestamp", Plain.construct_yaml_str)
    reader = YAML(typ="safe", pure=True)
    reader.Constructor = Plain
    try:
        for event in reader.parse(io.StringIO(text)):
            if isinstance(event, AliasEvent):
                raise DocumentError([Problem(path, f"must not use aliases (got *{event.anchor})")])
        return list(reader.load_all(text))
    except YAMLError as failure:
        raise DocumentError([Problem(path, f"must be YAML 1.2 or JSON: {failure}")]) from None
    except RecursionError:
        raise DocumentError([Problem(path, "is nested too deeply")]) from None
