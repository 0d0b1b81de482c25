"""Reads documents from files: JSON, or one or more documents of YAML 1.2 without aliases."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ordinaut.client.document import DocumentError, Problem
from ordinaut.documents.json_text import read_json
from ordinaut.documents.scalars import kind_of
from ordinaut.errors import InvalidArgumentError
from ordinaut.limits import MAX_DOCUMENT_BYTES
from ordinaut.v1.error_pb2 import ErrorReason

STDIN = "-"


def read_text(path: str) -> str:
    """The text of a file (`-`: standard input).

    Raises:
        DocumentError: too large, or not UTF-8.
    """
    try:
        return _read(path).decode()
    except UnicodeDecodeError as failure:
        raise DocumentError([Problem(path, f"must be UTF-8 (byte {failure.start} is not)")]) from None


def documents(path: str) -> list[dict[str, Any]]:
    """The non-empty documents of a file (`-`: standard input).

    Raises:
        DocumentError: not YAML or JSON, too large, with an alias, or a document that is not an object.
    """
    data = _read(path)
    try:
        return list(_objects(data, path))
    except InvalidArgumentError as failure:
        raise DocumentError([Problem(path, failure.message)]) from None


def one_document(path: str) -> dict[str, Any]:
    """The only document of a file.

    Raises:
        DocumentError: as `documents`, or the file does not contain exactly one document.
    """
    contents = documents(path)
    if len(contents) != 1:
        raise DocumentError([Problem(path, f"must contain exactly one document (got {len(contents)})")])
    return contents[0]


def _read(path: str) -> bytes:
    data = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1) if path == STDIN else Path(path).read_bytes()
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentError([Problem(path, "must be at most 1 MiB")])
    return data


def _objects(data: bytes, path: str) -> Iterator[dict[str, Any]]:
    for document in _json_or_yaml(data):
        if document is None:  # an empty document after a trailing `---`
            continue
        if not isinstance(document, dict):
            raise DocumentError([Problem(path, f"a document must be an object (got {kind_of(document)})")])
        yield document


def _json_or_yaml(data: bytes) -> list[Any]:
    try:
        return [read_json(data)]
    except InvalidArgumentError as failure:
        if failure.reason != ErrorReason.MALFORMED_JSON:
            raise
    # Not JSON, or several documents. Imported here, because most commands do not read files.
    from ordinaut.documents.yaml_text import read_yaml_documents  # noqa: PLC0415

    return list(read_yaml_documents(data))
