"""The documents of files that a command sends, so that the fixes of an error address them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.descriptor import Descriptor

from ordinaut.cli.files import documents
from ordinaut.client import ApiError, Fix
from ordinaut.documents.sent_pointer import sent_pointer

POINTERS = ("path", "from")


@dataclass(frozen=True, slots=True)
class Source:
    """A document of a file; `number` counts the documents of the file from 1.

    `of_several`: the command reads other documents as well, so that paths begin with the document.
    """

    document: Mapping[str, Any]
    path: str = ""
    number: int = 1
    of_several: bool = False

    @property
    def label(self) -> str:
        """The beginning of a path if there are several documents: `tasks.yaml, document 2, tasks/news: `."""
        name = str(self.document.get("name", "")) or "without a name"
        return f"{self.path}, document {self.number}, {name}: " if self.of_several else ""

    def placed(self, fix: Fix, field: str, kind: Descriptor) -> Fix:
        """The fix with pointers from the root of the document, which is the `field` of a request of type `kind`."""
        operations = [
            {
                key: self._pointer(str(value), field, kind) if key in POINTERS else value
                for key, value in operation.items()
            }
            for operation in fix.operations
        ]
        return replace(fix, field=f"{self.label}{fix.field}", operations=operations)

    def _pointer(self, text: str, field: str, kind: Descriptor) -> str:
        return sent_pointer(text, {field: self.document}, kind).removeprefix(f"/{field}")


@contextmanager
def fixes_in(source: Source | None, field: str, kind: Descriptor) -> Iterator[None]:
    """Converts the fixes of an error to pointers into the document that was sent, and names the document.

    Raises:
        ApiError: as the block.
    """
    try:
        yield
    except ApiError as error:
        if source is None:
            raise
        error.fixes = [source.placed(fix, field, kind) for fix in error.fixes]
        error.violations = [replace(each, field=f"{source.label}{each.field}") for each in error.violations]
        raise


def read_sources(paths: Sequence[str]) -> list[Source]:
    """The documents of files.

    Raises:
        DocumentError: as `documents`.
    """
    numbered = [(path, number, each) for path in paths for number, each in enumerate(documents(path), 1)]
    return [Source(each, path, number, len(numbered) > 1) for path, number, each in numbered]
