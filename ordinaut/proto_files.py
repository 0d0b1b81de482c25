"""The proto files of the public API, for clients in other languages.

The wheel contains them in `ordinaut/protos`; the files of google/api and google/type that they import come from the
package googleapis-common-protos. `google/protobuf` is part of every protobuf compiler and library.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import google.api

PUBLIC = "ordinaut/v1"
IMPORT = re.compile(r'^import "([^"]+)";', re.MULTILINE)
BUNDLED = "google/protobuf/"
_PACKAGE = Path(__file__).parent


def include_folders() -> tuple[Path, Path]:
    """Returns the folders in which a protobuf compiler finds all proto files: `-I` of protoc."""
    installed = _PACKAGE / "protos"
    own = installed if installed.is_dir() else _PACKAGE.parent / "protos"
    return own, Path(google.api.__path__[0]).parents[1]


def export(folder: Path) -> list[str]:
    """Copies the proto files, and all that they import, into a folder; returns their names, relative to the folder.

    Raises:
        OSError: the folder cannot be written.
    """
    names = sorted(_complete())
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_found(name), target)
    return names


def _complete() -> set[str]:
    own, _ = include_folders()
    names: set[str] = set()
    pending = [f"{PUBLIC}/{path.name}" for path in (own / PUBLIC).glob("*.proto")]
    while pending:
        name = pending.pop()
        if name not in names:
            names.add(name)
            pending.extend(_imports(_found(name)))
    return names


def _imports(path: Path) -> Iterator[str]:
    return (name for name in IMPORT.findall(path.read_text("utf-8")) if not name.startswith(BUNDLED))


def _found(name: str) -> Path:
    for folder in include_folders():
        if (path := folder / name).is_file():
            return path
    raise FileNotFoundError(f"the proto file {name} is not installed")
